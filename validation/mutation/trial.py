"""The check of one mutant: do the owner's tests notice it?"""

import threading
import time
from dataclasses import dataclass, field

from audit.judgement import Judgement, Measured, error, judged, skipped
from audit.mutation.mutants import Mutant
from audit.mutation.registry import operators_by_name
from audit.results import Check, Comparison, Location, Severity
from validation.mutation.baseline import Baseline, NotGreen, measure
from validation.mutation.kept import KeptVerdicts
from validation.mutation.suite import Suite
from validation.mutation.verdicts import End, Verdict, judge, selections

CHECK = Check(
    id="tests.mutation",
    title="The tests notice a mistake in the code",
    proves="With one mistake in attention, model or training code at least one of the target's own tests fails, while "
    "all pass without it, twice.",
    defect="a test that asserts nothing but the shape of an output",
    severity=Severity.MAJOR,
)
ORIGIN = "tests that pass on code and on the same code with a mistake do not tell the two apart"


@dataclass
class Trials:
    """The mutants of one run, tried one after another or side by side, until the time is over."""

    suite: Suite
    kept: KeptVerdicts
    time_limit_s: float | None = None
    _begun: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _baseline: Baseline | NotGreen | None = None
    _is_told: bool = False

    def judge(self, mutant: Mutant) -> Judgement:
        """Return whether the tests notice a mutant.

        Raises:
            KeyboardInterrupt: the user asked to stop.
        """
        self._begun = self._begun or time.monotonic()  # when they are tried, and not when they are planned
        baseline = self._without_mutant()
        if isinstance(baseline, NotGreen):
            return self._refused(baseline)
        key = self.kept.key_of(mutant, selections(mutant, baseline), baseline.record)
        verdict = self.kept.get(key, Verdict)
        if verdict is None:
            if self.time_limit_s is not None and time.monotonic() - self._begun > self.time_limit_s:
                return skipped(f"not tried: the time limit of {self.time_limit_s:g} s was reached")
            verdict = judge(mutant, self.suite, baseline)
            if verdict.end is not End.UNKNOWN:
                self.kept.put(key, verdict)
        return concluded(mutant, verdict, baseline)

    def _without_mutant(self) -> Baseline | NotGreen:
        with self._lock:
            if self._baseline is None:
                key = f"baseline\0{self.kept.whole}"
                self._baseline = self.kept.get(key, Baseline)
                if self._baseline is None:
                    self._baseline = measure(self.suite)
                    if isinstance(self._baseline, Baseline):
                        self.kept.put(key, self._baseline)
            return self._baseline

    def _refused(self, why: NotGreen) -> Judgement:
        """Return the reason once, and for the other mutants that there is one."""
        with self._lock:
            is_first, self._is_told = not self._is_told, True
        return error(why.reason) if is_first else skipped("the tests say nothing without a mutant, see tests.mutation")


def concluded(mutant: Mutant, verdict: Verdict, baseline: Baseline) -> Judgement:
    """Return what a verdict says of the tests, with the edit where they do not notice it."""
    location = Location(path=mutant.path, line=mutant.line)
    if verdict.end is End.UNKNOWN:
        return error(f"{mutant.operator}: {verdict.detail}", location=location)
    measured = Measured(
        value=int(verdict.end.is_caught),
        bound=1,
        comparison=Comparison.AT_LEAST,
        origin=ORIGIN,
        unit=verdict.end.value if verdict.end.is_caught else "failing tests",
    )
    operator = operators_by_name()[mutant.operator]
    lines = [f"{operator.title}, and {verdict.detail}", mutant.diff, operator.why]
    if operator.equivalent:
        lines.append(f"the mutant is no mistake {operator.equivalent}")
    if baseline.without_lines:
        lines.append(f"all tests were run: {baseline.without_lines}")
    return judged(
        measured,
        otherwise="\n".join(lines),
        location=location,
        fix="add a test that fails with this edit; compare with values that are known, not with shapes",
    )
