"""Gates: what a release needs beside the absence of failures, as `[tool.astrobio-audit.gates]` declares it.

A gate can only ask for more than the verdict does without any. What waivers cover still earns no credit here.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from audit.results import Frozen, Outcome, Result
from audit.score import Area, Summary, Verdict
from audit.severity import Severity

_MOST_NAMED = 3
Share = Annotated[float | None, Field(ge=0, le=1)]


class AreaGate(BaseModel):
    """What a release needs of one area, or of the least of all."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    min_score: Annotated[Share, Field(description="Smallest score, a share from 0 to 1.")] = None
    min_coverage: Annotated[Share, Field(description="Smallest coverage, a share from 0 to 1.")] = None


class Gates(AreaGate):
    """What a release needs; `min_score` and `min_coverage` are of the whole, which is the least of its areas."""

    judged: Annotated[
        tuple[str, ...], Field(strict=False, description="Areas in which something must have been judged.")
    ] = ()
    fail_on: Annotated[
        tuple[Annotated[Severity, Field(strict=False)], ...],
        Field(strict=False, description="Severities that block a release; critical and major do in any case."),
    ] = ()
    areas: dict[str, AreaGate] = {}


class MissedGate(Frozen):
    """A gate that was not reached, and the verdict that it leads to."""

    gate: Annotated[str, Field(description="Its key in the configuration.")]
    verdict: Literal[Verdict.NOT_READY, Verdict.INCOMPLETE]
    says: str


def missed_gates(gates: Gates, summary: Summary, results: Sequence[Result]) -> tuple[MissedGate, ...]:
    """Return the gates that a whole run has missed, in the order of the configuration.

    Too small a score, or a failure of a severity that blocks, is `not ready`; what was not judged is `incomplete`.
    """
    return tuple(_missed(gates, summary, results))


def gated(verdict: Verdict, missed: Sequence[MissedGate]) -> Verdict:
    """Return the worse one of a release's verdict and what the missed gates lead to."""
    leading = {verdict, *(gate.verdict for gate in missed)}
    return next((worse for worse in (Verdict.NOT_READY, Verdict.INCOMPLETE) if worse in leading), verdict)


def _missed(gates: Gates, summary: Summary, results: Sequence[Result]) -> Iterator[MissedGate]:
    yield from _shares("", gates, summary.score, summary.coverage, "the least of all areas")
    known = {area.name: area for area in summary.areas}
    for name in gates.judged:
        if problem := _unjudged(name, known.get(name)):
            yield MissedGate(gate="judged", verdict=Verdict.INCOMPLETE, says=problem)
    counting = [severity for severity in gates.fail_on if not severity.gates_release]
    for severity in counting:
        failed = [each for each in results if each.severity is severity and each.outcome is Outcome.FAILED]
        if failed := [each for each in failed if each.waived is None]:
            yield MissedGate(gate="fail_on", verdict=Verdict.NOT_READY, says=_failures(severity, failed))
    for name, gate in gates.areas.items():
        area = known.get(name)
        if area is None:
            says = f"there is no area {name} in this report; it has {', '.join(sorted(known)) or 'none'}"
            yield MissedGate(gate=f"areas.{name}", verdict=Verdict.INCOMPLETE, says=says)
        else:
            yield from _shares(f"areas.{name}.", gate, area.score, area.coverage, f"area {name}")


def _shares(prefix: str, gate: AreaGate, score: float | None, coverage: float | None, of: str) -> Iterator[MissedGate]:
    for key, share, least, verdict in (
        ("min_score", score, gate.min_score, Verdict.NOT_READY),
        ("min_coverage", coverage, gate.min_coverage, Verdict.INCOMPLETE),
    ):
        what = key.removeprefix("min_")
        if least is None or (share is not None and share >= least):
            continue
        if share is None:  # nothing in it applies, so that nothing is known to be bad either
            yield MissedGate(
                gate=prefix + key, verdict=Verdict.INCOMPLETE, says=f"{of}: no {what}, for nothing in it applies"
            )
        else:
            says = f"{of}: {what} {share:.6g}, and the release needs {least:.6g}"
            yield MissedGate(gate=prefix + key, verdict=_literal(verdict), says=says)


def _literal(verdict: Verdict) -> Literal[Verdict.NOT_READY, Verdict.INCOMPLETE]:
    return Verdict.NOT_READY if verdict is Verdict.NOT_READY else Verdict.INCOMPLETE


def _unjudged(name: str, area: Area | None) -> str | None:
    if area is None:
        return f"area {name} has no result in this report"
    if not area.passed and not area.failed:
        return f"nothing in area {name} was judged"
    return None


def _failures(severity: Severity, failed: Sequence[Result]) -> str:
    names = list(dict.fromkeys(f"{each.check} on {each.subject.name}" for each in failed))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    count = f"{len(failed)} {severity} failure{'' if len(failed) == 1 else 's'}"
    return f"{count}: {', '.join(names[:_MOST_NAMED])}{more}"
