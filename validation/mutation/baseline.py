"""The tests without a mutant, which must pass twice before they can say anything about one."""

from dataclasses import dataclass
from pathlib import Path

from audit.report.text import one_line
from audit.results import Frozen
from validation.mutation.records import Record
from validation.mutation.suite import MOST_TIME_S, Finished, Suite

# A mutant may loop for ever. One that is slower than this many times the tests without it counts as caught by the time
# limit, which is listed apart; on a busy machine the same tests were seen to take up to three times as long.
TIME_FACTOR = 5.0
LEAST_TIME_S = 20.0
_CANARY = "raise RuntimeError('this module is not imported by any test')\n"


class Baseline(Frozen):
    """What is known of the tests. `seconds` is how long they take without the recording of lines."""

    record: Record
    seconds: float
    without_lines: str | None = None

    def time_limit_s(self, tests: frozenset[str] | None) -> float:
        """Return the limit for these tests; None means all."""
        seconds = self.seconds
        if tests is not None:
            known = self.record.tests
            of_all = sum(each.seconds for each in known.values())
            of_these = sum(known[test].seconds for test in tests if test in known)
            seconds = max(0.0, self.seconds - of_all) + of_these  # the first part is the start: imports, collection
        return max(LEAST_TIME_S, TIME_FACTOR * seconds)


@dataclass(frozen=True)
class NotGreen:
    """Why the tests say nothing about a mutant."""

    reason: str


def measure(suite: Suite) -> Baseline | NotGreen:
    """Run the tests without a mutant: twice, and once more where only the recording of lines seems to fail them.

    Raises:
        KeyboardInterrupt: the user asked to stop.
    """
    with suite.copies.lent() as copy:
        first = suite.run(copy, timeout_s=MOST_TIME_S, with_lines=True)
    if first.ended.is_over_time:
        return NotGreen(f"the tests do not end within {MOST_TIME_S:.0f} s without a mutant")
    limit = max(LEAST_TIME_S, TIME_FACTOR * first.ended.seconds)
    with suite.copies.lent() as copy:
        second = suite.run(copy, timeout_s=limit)
    without_lines = _why_without_lines(suite)
    record = first.record
    if not first.is_green and second.is_green and suite.command.sees_lines:
        with suite.copies.lent() as copy:
            first = suite.run(copy, timeout_s=limit)
        without_lines = "the tests fail where their lines are recorded"
        record = second.record
    if trouble := _trouble(first, second):
        return NotGreen(trouble)
    if suite.command.is_pytest and (trouble := _not_of_the_copy(record, suite)):
        return NotGreen(trouble)
    if not suite.command.is_pytest and not _runs_the_copy(suite, limit):
        return NotGreen(
            f"the tests pass when {suite.target.package} cannot be imported: they do not run the copy in which mutants "
            "are tried, or nothing of the package"
        )
    tests = {name: run.model_copy(update={"seconds": run.seconds}) for name, run in second.record.tests.items()}
    record = record.model_copy(update={"tests": tests})
    return Baseline(record=record, seconds=second.ended.seconds, without_lines=without_lines)


def _why_without_lines(suite: Suite) -> str | None:
    if not suite.command.is_pytest:
        return "the command is not pytest"
    return None if suite.command.sees_lines else f"{suite.target.python} has no coverage package"


def _trouble(first: Finished, second: Finished) -> str | None:
    """Return why two runs are not green, in one line."""
    if first.is_green and second.is_green:
        ran = [test for test, run in second.record.tests.items() if run.outcome != "skipped"]
        if second.record.tests and not ran:
            return f"no test ran: all {len(second.record.tests)} were skipped"
        return None
    if first.is_green != second.is_green:
        failing = second if first.is_green else first
        return f"the tests are flaky: of two runs without a mutant one failed: {_what_failed(failing)}"
    names = first.record.failed.keys() ^ second.record.failed.keys()
    also = f"; other tests failed in the second run: {one_line(', '.join(sorted(names)))}" if names else ""
    return f"the tests fail without a mutant: {_what_failed(first)}{also}"


def _what_failed(run: Finished) -> str:
    hint = "; they ran in a copy of the target, without what git ignores and what lies beside it"
    record, ended = run.record, run.ended
    if ended.is_over_time:
        return f"not over after {ended.seconds:.0f} s"
    if ended.is_over_memory:
        return "over the memory limit, `memory_mb`"
    for found in (record.failed, record.uncollected):
        if found:
            name, text = next(iter(found.items()))
            tests = f"of {len(record.collected)} tests" if record.collected else "files"
            return one_line(f"{len(found)} {tests}, first {name}: {text}", limit=400) + hint
    last = ended.tail.strip().splitlines()[-1:] or ["no output"]
    return one_line(f"exit status {ended.status}: {last[0]}", limit=400) + hint


def _not_of_the_copy(record: Record, suite: Suite) -> str | None:
    """Return where else the package was imported from: an installed one would be tested in place of the mutants."""
    folder = suite.folder.resolve()
    for name, file in record.modules.items():
        if not Path(file).resolve().is_relative_to(folder):
            return one_line(f"the tests import {name} from {file} and not from the copy in which mutants are tried")
    return None


def _runs_the_copy(suite: Suite, limit: float) -> bool:
    """Return whether the tests notice that the package cannot be imported; of pytest that is known without trying."""
    target = suite.target
    package = target.package_path
    path = package / "__init__.py" if package.is_dir() else package
    relative = target.relative(path)
    if relative is None or not path.exists():
        return True
    with suite.copies.lent() as copy:
        copy.write(relative, _CANARY)
        return not suite.run(copy, timeout_s=limit).is_green
