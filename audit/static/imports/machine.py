"""The course of one import: which modules are loaded, which are still running, and what was found out on the way."""

import builtins
from dataclasses import dataclass, field

from audit.static.imports.causes import Failure
from audit.static.imports.values import Space, Value


class Raised(Exception):
    """An exception of the target's during the simulated import."""

    def __init__(self, failure: Failure) -> None:
        """Carry why it was raised."""
        super().__init__(failure.name)
        self.failure = failure


@dataclass(slots=True)
class Frame:
    """One running module body or function call. `perhaps` are values that a function may have returned already."""

    module: str
    path: str
    is_package: bool
    space: Space
    locals: dict[str, Value] | None = None
    local_names: frozenset[str] = frozenset()
    perhaps: list[Value] = field(default_factory=list)
    handling: list[tuple[str | None, Failure]] = field(default_factory=list)


@dataclass(slots=True)
class Trace:
    """What happened while one module ran, as sets of the target's modules.

    `reached` were loaded or ran, `failed` ended in an exception, `observed` were still running when they were read.
    `passed` are the packages whose imports went on though they are not installed. Where `unordered`, a module was
    imported by a name that is not known: any may have been loaded then.
    """

    reached: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    observed: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    unordered: bool = False

    def add(self, other: "Trace") -> None:
        """Take over what happened in a part of the course."""
        self.reached |= other.reached
        self.failed |= other.failed
        self.observed |= other.observed
        self.passed |= other.passed
        self.unordered = self.unordered or other.unordered


@dataclass(frozen=True, slots=True)
class Memory:
    """How the import of a module ended that saw no unfinished module: it ends so wherever none of `reached` runs.

    What it has `passed`, and whether it makes the course `unordered`, is kept with it.
    """

    failure: Failure | None
    reached: frozenset[str]
    loaded: frozenset[str]
    passed: frozenset[str]
    unordered: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a module that has run: its names, if that ever ended well, and what it reached last time.

    Where imports of packages that are not installed go on, the import of a module ends otherwise inside of a guard, at
    which they fail: that is remembered as `guarded`.
    """

    space: Space | None
    memory: Memory | None
    reach: frozenset[str]
    passed: frozenset[str] = frozenset()
    guarded: Memory | None = None


def catches(handler: str, raised: str) -> bool | None:
    """Return whether `except handler` catches an exception by the names of both classes; None where unknown."""
    handler, raised = handler.rpartition(".")[2], raised.rpartition(".")[2]
    if handler == raised or handler == "BaseException":
        return True
    raised_class = _class(raised)
    handler_class = _class(handler)
    if handler_class is None:
        return None if raised_class is None or handler.isupper() or not handler[:1].isupper() else False
    if raised_class is None:
        return True if handler_class is Exception else None
    return issubclass(raised_class, handler_class)


_DERIVED = {"PackageNotFoundError": ModuleNotFoundError, "InvalidVersion": ValueError}


def _class(name: str) -> type[BaseException] | None:
    found = _DERIVED.get(name) or getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None
