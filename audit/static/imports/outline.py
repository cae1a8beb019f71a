"""What of a file's program matters to other files than those that import it: of most no more is ever asked."""

from dataclasses import dataclass

from audit.static.imports.program import Compare, Constant, If, Name, Program, imported_names

_GUARD = {Name("__name__"), Constant("__main__")}


@dataclass(frozen=True, slots=True)
class Outline:
    """`tops` are the top-level modules that it may import, sorted; `is_guarded` says that it has a `__main__` guard."""

    tops: tuple[str, ...] = ()
    is_guarded: bool = False


def outline_of(program: Program) -> Outline:
    """Return the outline of a program."""
    tops = {name.partition(".")[0] for name in imported_names(program)}
    return Outline(tuple(sorted(tops)), any(isinstance(step, If) and _is_guard(step) for step in program.body))


def _is_guard(step: If) -> bool:
    return isinstance(step.test, Compare) and {step.test.left, step.test.right} == _GUARD
