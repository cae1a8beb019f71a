"""What a name can stand for, in the words of one file: the vocabulary between summaries and the project graph."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Origin(StrEnum):
    """How a name got its value."""

    IMPORT = "import"  # from `module`, of which `attributes` are taken
    CLASS = "class"  # the class at position `definition` of the file, of which `attributes` are taken
    STAR = "star"  # perhaps replaced by one of `stars`, where one exports it
    UNBOUND = "unbound"  # bound by nothing in the file: one of `stars` or a builtin
    OPAQUE = "opaque"  # a value that is only known at run time: a parameter, the result of a call


@dataclass(frozen=True, slots=True, order=True)
class StarImport:
    """`from module import *`; not `certain` where some branch of the code goes past it."""

    module: str
    certain: bool


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """One value that a name can have. Where `called`, it is what a call of that value returns.

    A `module` is written from the root down; one that a relative import sets above the root keeps leading dots.
    """

    origin: Origin
    module: str = ""
    attributes: tuple[str, ...] = ()
    definition: int = -1
    stars: tuple[StarImport, ...] = ()
    called: bool = False

    def attribute(self, name: str) -> "Candidate":
        """Return what the attribute `name` of this value can be."""
        if self.called or self.origin is Origin.OPAQUE:
            return OPAQUE
        return replace(self, attributes=(*self.attributes, name))

    def call(self) -> "Candidate":
        """Return what calling this value gives."""
        return OPAQUE if self.called or self.origin is Origin.OPAQUE else replace(self, called=True)


OPAQUE = Candidate(Origin.OPAQUE)

Candidates = frozenset[Candidate]
Bindings = Mapping[str, tuple[Candidate, ...]]


@dataclass(frozen=True, slots=True)
class Base:
    """One base of a class: its source without subscripts, and what it can be at that place of the file."""

    name: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """One class statement.

    `qualname` is Python's, `line` that of the `class` keyword, `digest` that of the exact source lines from the first
    decorator to the last statement, in UTF-8. `bindings` are the names of the class's own scope.
    """

    path: str
    module: str
    qualname: str
    line: int
    bases: tuple[Base, ...]
    digest: str
    bindings: Bindings


@dataclass(frozen=True, slots=True)
class Exports:
    """What `__all__` holds: names, the `__all__` of other modules, and whether some of it is known at run time only."""

    names: frozenset[str] = frozenset()
    included: tuple[Candidate, ...] = ()
    dynamic: bool = False

    def joined(self, other: "Exports") -> "Exports":
        """Return what both hold."""
        return Exports(
            names=self.names | other.names,
            included=tuple(sorted({*self.included, *other.included})),
            dynamic=self.dynamic or other.dynamic,
        )


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What other files and later stages need to know of one file.

    `bindings` are the names of the module's scope as they stand at its end; a name whose value depends on a branch
    has several candidates. `exports` is None where the file has no `__all__`. `classes` come as they
    would be defined, those in functions last; `Candidate.definition` counts in them. `signatures` are the parameters
    of the classes' own methods, as `audit.static.signatures` writes them.
    """

    path: str
    module: str
    is_package: bool
    digest: str
    bindings: Bindings
    stars: tuple[StarImport, ...]
    exports: Exports | None
    classes: tuple[ClassSummary, ...]
    signatures: str = ""
