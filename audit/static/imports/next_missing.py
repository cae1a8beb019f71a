"""What else is not installed: the packages that a failing module would miss once its first missing one is there.

Imports are simulated a second time. One of a package that is not installed goes on then, as if it were, unless a guard
or a branch that may not run surrounds it: there it fails as before.
"""

from collections.abc import Sequence
from dataclasses import replace

from audit.static.imports.course import Attempt, Log
from audit.static.imports.memory import Courses
from audit.static.imports.world import World


def missing_next(
    world: World, attempts: Sequence[Attempt], log: Log, *, courses: Courses
) -> dict[str, tuple[str, ...]]:
    """Return, by module, what each that fails for a missing package would miss afterwards, sorted.

    `attempts` are imports of the modules of `world`, and `log` says how they end.
    """
    failing = {
        position: entry.failure.name
        for position, entry in enumerate(log)
        if entry.failure and entry.failure.cause.is_of_the_environment
    }
    if not failing:
        return {}
    wanted: set[int] = set()
    for each in failing:
        position: int | None = each
        while position is not None and position not in wanted:
            wanted.add(position)
            position = attempts[position].after
    again = [
        attempt if position in wanted else replace(attempt, is_wanted=False)
        for position, attempt in enumerate(attempts)
    ]
    missed: list[frozenset[str]] = []
    for attempt, entry in zip(again, courses.run("next", world.passing(), again), strict=True):
        missed.append(frozenset(entry.passed) | (frozenset() if attempt.after is None else missed[attempt.after]))
    return {attempts[position].module: tuple(sorted(missed[position] - {name})) for position, name in failing.items()}
