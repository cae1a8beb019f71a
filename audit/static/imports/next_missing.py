"""What else is not installed: the packages that a failing module would miss once the first one that it misses is there.

Imports are attempted a second time. One of a package that is not installed goes on then, as if it were, unless a guard
or a branch that may not run surrounds it: there it fails as before.
"""

from collections.abc import Mapping, Sequence

from audit.static.imports.causes import Failure
from audit.static.imports.course import Attempt, Log


def attempted_again(failures: Mapping[str, Failure | None]) -> set[str]:
    """Return the modules that fail for a missing package, and the packages that they are in."""
    failing = _failing(failures)
    parents = {parent for module in failing for parent in _parents(module)}
    return failing.keys() | (parents & failures.keys())


def missing_next(
    failures: Mapping[str, Failure | None], attempts: Sequence[Attempt], log: Log
) -> dict[str, tuple[str, ...]]:
    """Return, by module, what each that fails for a missing package would miss afterwards, sorted.

    `log` is that of the `attempts` of a course that passes missing packages.
    """
    missed: list[set[str]] = []
    for attempt, entry in zip(attempts, log, strict=True):
        missed.append({*entry.passed, *(missed[attempt.after] if attempt.after is not None else ())})
    by_module = {attempt.module: names for attempt, names in zip(attempts, missed, strict=True)}
    return {module: tuple(sorted(by_module[module] - {failure.name})) for module, failure in _failing(failures).items()}


def _failing(failures: Mapping[str, Failure | None]) -> dict[str, Failure]:
    return {module: failure for module, failure in failures.items() if failure and failure.cause.is_of_the_environment}


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]
