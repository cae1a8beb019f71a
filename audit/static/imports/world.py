"""What a process imports from: the modules of the target under the names that it finds them by, and what is around."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property

from audit.static.imports.causes import Failure
from audit.static.imports.declared import Declared
from audit.static.imports.dependencies import Dependencies
from audit.static.imports.installed import Installed
from audit.static.imports.interpreter import InterpreterFacts
from audit.static.imports.patched import Patched
from audit.static.imports.program import Program
from audit.static.imports.trial import Trial


@dataclass(frozen=True, slots=True)
class TargetModule:
    """A module of the target. Without a program it may bind anything; with a failure it cannot be imported at all.

    The program is asked for by the file's path, each time: thousands are too large to be held.
    """

    module: str
    path: str
    is_package: bool
    programs: Callable[[str], Program | None]
    failure: Failure | None = None

    @property
    def program(self) -> Program | None:
        """What importing the file does; None where it could not be read."""
        return self.programs(self.path)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything around the target's modules.

    `dependencies` follows what installed modules import, where that is wanted; `patched` tells what the target sets in
    modules of others; `not_loading` are top-level packages whose import was tried and failed. Of a file that is run,
    `hiding` are the top-level names of its folder that something else on the path has too, and `off_path` those of the
    target that its interpreter does not find.
    """

    installed: Installed
    facts: InterpreterFacts
    declared: Declared
    dependencies: Dependencies
    patched: Patched
    not_loading: Mapping[str, Trial] = field(default_factory=dict)
    hiding: frozenset[str] = frozenset()
    off_path: frozenset[str] = frozenset()


class World:
    """The modules of the target under the names that processes find them by, and everything around them.

    Where it `passes_missing`, imports of packages that are not installed go on, if nothing would catch what they raise.
    """

    def __init__(self, targets: Iterable[TargetModule], outside: Surroundings) -> None:
        """Know the modules; of two with one name the last is found."""
        self.targets: Mapping[str, TargetModule] = {target.module: target for target in targets}
        self.outside = outside
        self.passes_missing = False

    def passing(self) -> "World":
        """Return the same one, where missing packages are passed."""
        other = copy(self)
        other.passes_missing = True
        return other

    @cached_property
    def identity(self) -> str:
        """A digest of which modules there are, under which names."""
        told = [(target.module, target.path, target.is_package) for target in self.targets.values()]
        return hashlib.blake2b(repr(told).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    @cached_property
    def folders(self) -> frozenset[str]:
        """The packages that have no file of their own."""
        return frozenset({parent for name in self.targets for parent in parents(name)} - self.targets.keys())

    @cached_property
    def tops(self) -> frozenset[str]:
        """The names of the top-level modules."""
        return frozenset(name.partition(".")[0] for name in self.targets)


def parents(name: str) -> list[str]:
    """Return the names of the packages that a module is in, the outermost first."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]
