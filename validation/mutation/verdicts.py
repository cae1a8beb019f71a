"""What became of one mutant."""

from enum import StrEnum

from audit.mutation.mutants import Mutant
from audit.report.text import one_line
from audit.results import Frozen
from validation.mutation.baseline import Baseline
from validation.mutation.suite import Finished, Suite

_FAILED, _INTERRUPTED, _INTERNAL, _USAGE, _NONE = 1, 2, 3, 4, 5  # pytest's exit statuses


class End(StrEnum):
    """How the tests took a mutant. All but the last two have caught it."""

    FAILED = "failing tests"
    IMPORT = "failing imports"
    TIME = "runs over the time limit"
    MEMORY = "runs over the memory limit"
    CRASH = "crashes of the interpreter"
    SURVIVED = "survivors"
    UNKNOWN = "runs that said nothing"

    @property
    def is_caught(self) -> bool:
        """Whether the tests noticed the mutant."""
        return self not in (End.SURVIVED, End.UNKNOWN)


class Verdict(Frozen):
    """How it ended, what was seen, and how many tests ran; None where that is not known."""

    end: End
    detail: str
    tests: int | None = None


def selections(mutant: Mutant, baseline: Baseline) -> list[frozenset[str] | None]:
    """Return the tests to run, one set after another until one of them catches the mutant; None means all.

    First those that run the mutated statement, then the others that run anything of its file: what one test leaves in
    a cache another may use. Tests that start processes are among the first, for nobody sees what those run.
    """
    record = baseline.record
    if not record.has_lines:
        return [None]
    contexts = record.lines.get(mutant.path, {})
    wanted = set(mutant.lines)
    if wanted & set(contexts.get("", ())):
        return [None]  # it runs at import, and what it leaves behind may be used anywhere
    of_line, of_file = set(record.starting), set(record.starting)
    for context, lines in contexts.items():
        tests = record.tests_using(context)
        of_file |= tests
        of_line |= tests if wanted & set(lines) else set()
    return [frozenset(tests) for tests in (of_line, of_file - of_line) if tests]


def judge(mutant: Mutant, suite: Suite, baseline: Baseline) -> Verdict:
    """Run the tests on a mutant.

    Raises:
        KeyboardInterrupt: the user asked to stop.
    """
    ran = 0
    for tests in selections(mutant, baseline):
        verdict = _tried(mutant, suite, baseline, tests)
        needs_all = verdict.end is End.UNKNOWN
        if tests is not None and verdict.end.is_caught:
            needs_all = not suite.is_green(tests, timeout_s=baseline.time_limit_s(tests))
        if tests is not None and needs_all:
            return _tried(mutant, suite, baseline, None)
        if verdict.end is not End.SURVIVED:
            return verdict
        ran += verdict.tests or 0
        if verdict.tests is None:
            return verdict
    return Verdict(end=End.SURVIVED, detail="no test runs it" if not ran else f"{_tests(ran)} with it", tests=ran)


def _tried(mutant: Mutant, suite: Suite, baseline: Baseline, tests: frozenset[str] | None) -> Verdict:
    with suite.copies.lent() as copy:
        copy.write(mutant.path, mutant.text)
        run = suite.run(copy, ("-x",), timeout_s=baseline.time_limit_s(tests), tests=tests)
    return _read(run, mutant, is_pytest=suite.command.is_pytest)


def _read(run: Finished, mutant: Mutant, *, is_pytest: bool) -> Verdict:
    ended, record = run.ended, run.record
    count = len(record.tests) if is_pytest else None

    def verdict(end: End, detail: str) -> Verdict:
        return Verdict(end=end, detail=one_line(detail), tests=count)

    if ended.is_over_time:
        return verdict(End.TIME, f"not over after {ended.seconds:.0f} s")
    if ended.is_over_memory:
        return verdict(End.MEMORY, "over `memory_mb`")
    if record.failed:
        name, text = next(iter(record.failed.items()))
        return verdict(End.FAILED, f"{name}: {text}")
    last = (ended.tail.strip().splitlines()[-1:] or ["no output"])[0]
    if ended.status == 0:
        return verdict(End.SURVIVED, f"{_tests(count)} with it" if is_pytest else "the tests pass with it")
    if not is_pytest:
        return verdict(End.FAILED if ended.status > 0 else End.CRASH, f"exit status {ended.status}: {last}")
    if ended.status == _INTERRUPTED and record.uncollected:
        name, text = next(iter(record.uncollected.items()))
        return verdict(End.IMPORT, f"{name} cannot be collected: {text}")
    if ended.status == _USAGE and mutant.path.rpartition("/")[2] in ended.tail:
        return verdict(End.IMPORT, f"pytest cannot begin: {last}")
    if ended.status in (_FAILED, _INTERRUPTED, _INTERNAL, _USAGE, _NONE):
        return verdict(End.UNKNOWN, f"pytest left with {ended.status}: {record.internal or last}")
    return verdict(End.CRASH, f"the interpreter left with {ended.status}: {last}")


def _tests(count: int | None) -> str:
    return "1 test passes" if count == 1 else f"{count} tests pass"
