"""What one file does when it is imported, as plain data: the vocabulary between reading a file and simulating it.

A program depends on the file's text alone, so it can be cached by content and made in another process. It keeps what
can make an import fail: imports, the branches around them, names that may be unbound, raises, and the small functions
that conditions call. Everything else is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: None, a truth value, a number, a text."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Name:
    """A name that is read."""

    name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a value."""

    owner: "Expression"
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call."""

    function: "Expression"
    arguments: tuple["Expression", ...]
    keywords: tuple[tuple[str, "Expression"], ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a truth value."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Either:
    """`and` where `every`, else `or`."""

    parts: tuple["Expression", ...]
    every: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison; the operator is the name of its class in `ast`."""

    left: "Expression"
    operator: str
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Group:
    """A tuple, list or set."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Item:
    """An element of a value."""

    owner: "Expression"
    index: "Expression"


@dataclass(frozen=True, slots=True)
class Choice:
    """`body if test else orelse`."""

    test: "Expression"
    body: "Expression"
    orelse: "Expression"


@dataclass(frozen=True, slots=True)
class Opaque:
    """An expression of any other form."""


Expression = (
    Constant | Name | Attribute | Call | Not | Either | Compare | Group | Item | Choice | Opaque
)  # fmt: skip


class Reading(StrEnum):
    """What is done with a name that is read; None serves for reading alone."""

    VALUE = "value"
    CALL = "call"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class Import:
    """`import module` or `import module as alias`."""

    line: int
    module: str
    alias: str | None


@dataclass(frozen=True, slots=True)
class ImportFrom:
    """`from module import name as alias, ...`; a star is the name `*`."""

    line: int
    level: int
    module: str
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Assign:
    """A name gets the value of an expression; with more than one name the value is taken apart."""

    line: int
    names: tuple[str, ...]
    value: Expression


@dataclass(frozen=True, slots=True)
class Bind:
    """Names get values that are not known, and are not None."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Define:
    """A function is defined; `function` is its position in the program's functions."""

    name: str
    function: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Names are unbound."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """A dotted name is read, where its value may be missing."""

    line: int
    names: tuple[str, ...]
    reading: Reading


@dataclass(frozen=True, slots=True)
class Evaluate:
    """An expression is evaluated for what it does: a call that may import or raise."""

    line: int
    value: Expression


@dataclass(frozen=True, slots=True)
class If:
    """A condition."""

    test: Expression
    body: "Block"
    orelse: "Block"


@dataclass(frozen=True, slots=True)
class Handler:
    """One `except`; no types: it catches everything."""

    types: tuple[Expression, ...]
    name: str | None
    body: "Block"


@dataclass(frozen=True, slots=True)
class Try:
    """A `try`."""

    body: "Block"
    handlers: tuple[Handler, ...]
    orelse: "Block"
    final: "Block"


@dataclass(frozen=True, slots=True)
class Perhaps:
    """Bodies of which one or none runs: loops and `match`."""

    bodies: tuple["Block", ...]


@dataclass(frozen=True, slots=True)
class Raise:
    """An exception is raised: the name of its class, `""` for the one being handled."""

    line: int
    exception: str
    message: str


@dataclass(frozen=True, slots=True)
class Return:
    """A function returns."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Anything:
    """From here on any name may be bound: `globals().update(...)`, a replaced `sys.modules[__name__]`."""


Step = (
    Import | ImportFrom | Assign | Bind | Define | Delete | Use | Evaluate | If | Try | Perhaps | Raise | Return
    | Anything
)  # fmt: skip
Block = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function that conditions at import may call."""

    parameters: tuple[str, ...]
    defaults: tuple[tuple[str, Expression], ...]
    local_names: frozenset[str]
    body: Block


@dataclass(frozen=True, slots=True)
class Program:
    """What a file does when it is imported.

    `names` are those that the module's scope may bind anywhere; `may_bind` those that only functions bind (`global`);
    `lazily` what a type checker sees and the file binds on first use: name, then level, module and name of its import.
    `exports` is `__all__` where it is a literal; `offers` the names of the module that it replaces itself with, where
    all of them are known. `registrars` are functions that refuse to register a name twice, `decorators` what classes
    and functions are decorated with, by line.
    """

    body: Block = ()
    functions: tuple[Function, ...] = ()
    names: frozenset[str] = frozenset()
    may_bind: frozenset[str] = frozenset()
    lazily: tuple[tuple[str, int, str, str], ...] = ()
    exports: tuple[str, ...] | None = None
    offers: tuple[str, ...] | None = None
    registrars: tuple[str, ...] = ()
    decorators: tuple[tuple[int, str], ...] = ()


NOTHING = Program()


def imported_names(program: Program) -> Iterator[str]:
    """Yield the modules that a program may import by their full names, those in its functions last."""
    for block in (program.body, *(function.body for function in program.functions)):
        for step in every_step(block):
            match step:
                case Import(module=module) | ImportFrom(level=0, module=module):
                    yield module


def every_step(block: Block) -> Iterator[Step]:
    """Yield the steps of a block, each before those in its branches."""
    for step in block:
        yield step
        match step:
            case If(body=body, orelse=orelse):
                yield from every_step((*body, *orelse))
            case Try(body=body, handlers=handlers, orelse=orelse, final=final):
                for inner in (body, orelse, final, *(handler.body for handler in handlers)):
                    yield from every_step(inner)
            case Perhaps(bodies=bodies):
                for inner in bodies:
                    yield from every_step(inner)
