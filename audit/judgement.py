"""What one check concluded about one subject, before it becomes a result."""

from dataclasses import dataclass, field

from audit.results import Check, Comparison, Evidence, Location, Measurement, Outcome, Result, Series, Subject


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A measurement, its bound, how the two relate in a pass, and where the bound comes from."""

    value: Measurement
    bound: Measurement
    comparison: Comparison = Comparison.AT_MOST
    origin: str
    unit: str | None = None

    @property
    def holds(self) -> bool:
        """Whether the measurement satisfies the bound; only numbers and equality can be compared."""
        if isinstance(self.value, int | float) and isinstance(self.bound, int | float):
            return self.comparison.holds(self.value, self.bound)
        return self.comparison is Comparison.EQUAL and self.value == self.bound


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """An outcome with its measurement; `subject` replaces the planned one where more of it is known now."""

    outcome: Outcome
    reason: str | None = None
    measured: Measured | None = None
    location: Location | None = None
    fix: str | None = None
    subject: Subject | None = field(default=None)
    series: tuple[Series, ...] = ()

    def result(
        self,
        check: Check,
        subject: Subject,
        *,
        seed: int | None,
        duration_s: float | None,
        reproduce: str,
        stand_in: str | None = None,
    ) -> Result:
        """Bind the judgement to its check and subject; `stand_in` is the library of which a stand-in was judged."""
        measured = self.measured
        evidence = Evidence(
            measured=measured.value if measured else None,
            bound=measured.bound if measured else None,
            comparison=measured.comparison if measured else None,
            bound_origin=measured.origin if measured else None,
            unit=measured.unit if measured else None,
            seed=seed,
            duration_s=duration_s,
            reproduce=reproduce,
            series=self.series,
            stand_in=stand_in if self.outcome.judged else None,
        )
        return Result(
            check=check.id,
            outcome=self.outcome,
            reason=self.reason,
            severity=check.severity,
            subject=self.subject or subject,
            evidence=evidence,
            location=self.location or _place(self.subject or subject),
            fix=self.fix,
        )


def judged(
    measured: Measured, *, otherwise: str, fix: str | None = None, location: Location | None = None
) -> Judgement:
    """Pass when the measurement satisfies its bound, else fail with `otherwise` as the reason."""
    if measured.holds:
        return Judgement(outcome=Outcome.PASSED, measured=measured, location=location)
    return Judgement(outcome=Outcome.FAILED, reason=otherwise, measured=measured, fix=fix, location=location)


def failed(
    reason: str, *, measured: Measured | None = None, fix: str | None = None, location: Location | None = None
) -> Judgement:
    """The check was carried out and the subject is wrong."""
    return Judgement(outcome=Outcome.FAILED, reason=reason, measured=measured, fix=fix, location=location)


def error(reason: str, *, location: Location | None = None, fix: str | None = None) -> Judgement:
    """The check could not be carried out; nothing is known about the subject."""
    return Judgement(outcome=Outcome.ERROR, reason=reason, location=location, fix=fix)


def skipped(reason: str) -> Judgement:
    """The check was not carried out, for the reason given; it still counts as not judged."""
    return Judgement(outcome=Outcome.SKIPPED, reason=reason)


def not_applicable(reason: str) -> Judgement:
    """A declared rule says that the check does not concern this subject."""
    return Judgement(outcome=Outcome.NOT_APPLICABLE, reason=reason)


def _place(subject: Subject) -> Location | None:
    return Location(path=subject.path, line=subject.line) if subject.path else None
