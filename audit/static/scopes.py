"""The names of one scope while its statements are walked, and what an expression made of names can be."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from audit.static.names import OPAQUE, Base, Bindings, Candidate, Candidates, Origin, StarImport

IMPORTING_CALLS = frozenset({"import_module", "importorskip"})  # importlib's and pytest's
METACLASS_CALL = "with_metaclass"  # six, future and copies of it: the class's bases follow the metaclass
MAX_NAME_LENGTH = 80  # of a base that is no dotted name


@dataclass(slots=True)
class State:
    """The names bound at one point of a scope, and the star imports that ran before it, oldest first."""

    names: dict[str, Candidates] = field(default_factory=dict)
    stars: tuple[StarImport, ...] = ()

    def copy(self) -> "State":
        """Return a state that can be changed without changing this one."""
        return State(dict(self.names), self.stars)


def merged(states: Sequence[State]) -> State:
    """Return what holds after branches that end in `states`: a name can be what it is in any of them."""
    if len(states) == 1:
        return states[0]
    certain = set.intersection(*({star for star in state.stars if star.certain} for state in states))
    stars = {star.module: StarImport(star.module, certain=star in certain) for state in states for star in state.stars}
    names: dict[str, Candidates] = {}
    for name in dict.fromkeys(name for state in states for name in state.names):
        found = [state.names[name] if name in state.names else _from_stars(name, state.stars) for state in states]
        names[name] = frozenset().union(*found)
    return State(names, tuple(stars.values()))


def _from_stars(name: str, stars: tuple[StarImport, ...]) -> Candidates:
    return frozenset({Candidate(Origin.STAR, attributes=(name,), stars=stars)}) if stars else frozenset()


@dataclass(slots=True)
class Scope:
    """A module, class or function while it is walked.

    `prefix` is what stands before a name defined here in its `__qualname__`. `typing_only` are names that only a
    type checker sees bound (`if TYPE_CHECKING`), `typing_stars` star imports that only it sees: the fallback for names
    that nothing else binds, as in packages that load their submodules on first use.
    """

    prefix: str = ""
    parent: "Scope | None" = None
    is_class: bool = False
    position: int | None = None  # of a class, among those of the file
    state: State = field(default_factory=State)
    typing_only: dict[str, Candidates] = field(default_factory=dict)
    typing_stars: tuple[StarImport, ...] = ()
    global_names: set[str] = field(default_factory=set)

    def bind(self, name: str, candidates: Candidates) -> None:
        """Give `name` a new value, which replaces those it had."""
        self.state.names[name] = candidates

    def import_star(self, module: str) -> None:
        """Run `from module import *`: any name bound so far may be replaced."""
        star = StarImport(module, certain=True)
        self.state.stars = (*(old for old in self.state.stars if old.module != module), star)
        for name, candidates in self.state.names.items():
            self.state.names[name] = candidates | _from_stars(name, (star,))

    def lookup(self, name: str) -> Candidates:
        """Return what `name` can be here. As in Python, a scope in a class does not see the class's names."""
        scope: Scope | None = self
        stars: tuple[StarImport, ...] = ()
        while scope:
            if name in scope.state.names:
                return scope.state.names[name]
            if name in scope.typing_only:
                return scope.typing_only[name]
            stars = stars or scope.state.stars
            scope = scope.parent
            while scope and scope.is_class:
                scope = scope.parent
        return frozenset({Candidate(Origin.UNBOUND, attributes=(name,), stars=stars)})

    def stars(self) -> tuple[StarImport, ...]:
        """Return the star imports as they stand now, those that only a type checker sees first: they decide last."""
        ran = {star.module for star in self.state.stars}
        return (*(star for star in self.typing_stars if star.module not in ran), *self.state.stars)

    def bindings(self) -> Bindings:
        """Return the names as they stand now, in an order that does not depend on hashes."""
        names = {**self.typing_only, **self.state.names}
        return {name: tuple(sorted(names[name])) for name in sorted(names)}


def value(expression: ast.expr, scope: Scope) -> Candidates:
    """Return what `expression` can be; empty for a constant, which can be no class and no module."""
    match expression:
        case ast.Name(id=name):
            return scope.lookup(name)
        case ast.Attribute(value=owner, attr=name):
            return frozenset(candidate.attribute(name) for candidate in value(owner, scope))
        case ast.Subscript(value=generic):
            return value(generic, scope)
        case ast.IfExp() | ast.BoolOp() | ast.NamedExpr():
            return frozenset().union(*(value(part, scope) for part in alternatives(expression)))
        case ast.Constant():
            return frozenset()
        case ast.Call():
            return _called(expression, scope)
    return frozenset({OPAQUE})


def _called(call: ast.Call, scope: Scope) -> Candidates:
    """Return what a call gives: the module or attribute it names by a constant, else its function's result."""
    match call:
        case ast.Call(func=function, args=[ast.Constant(value=str(module)), *_]) if (
            dotted(function).rpartition(".")[2] in IMPORTING_CALLS and module and not module.startswith(".")
        ):
            return frozenset({Candidate(Origin.IMPORT, module=module)})
        case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=str(name)), *default]):
            found = frozenset(candidate.attribute(name) for candidate in value(owner, scope))
            return found.union(*(value(other, scope) for other in default))
    return frozenset(candidate.call() for candidate in value(call.func, scope))


def alternatives(expression: ast.expr) -> Iterator[ast.expr]:
    """Yield the expressions of which this one is one: both arms of a condition, all parts of an `or`."""
    match expression:
        case ast.IfExp(body=body, orelse=orelse):
            yield from alternatives(body)
            yield from alternatives(orelse)
        case ast.BoolOp(values=values):
            for part in values:
                yield from alternatives(part)
        case ast.NamedExpr(value=named):
            yield from alternatives(named)
        case _:
            yield expression


def dotted(expression: ast.expr) -> str:
    """Return `a.b.c` for a name or attribute, without subscripts; empty for anything else."""
    if isinstance(expression, ast.Name):
        return expression.id
    names: list[str] = []
    while not isinstance(expression, ast.Name):
        if isinstance(expression, ast.Attribute):
            names.append(expression.attr)
        elif not isinstance(expression, ast.Subscript):
            return ""
        expression = expression.value
    return ".".join((expression.id, *reversed(names)))


def bases_of(node: ast.ClassDef, scope: Scope) -> tuple[Base, ...]:
    """Return the bases of a class statement as they stand when it runs; all alternatives of a conditional one."""
    expressions: list[ast.expr] = []
    for base in node.bases:
        match base:
            case ast.Call(func=function, args=[_, *rest]) if dotted(function).endswith(METACLASS_CALL):
                expressions.extend(rest)
            case _:
                expressions.append(base)
    found = [part for expression in expressions for part in alternatives(expression)]
    return tuple(Base(name=_base_name(part), candidates=tuple(sorted(value(part, scope)))) for part in found)


def _base_name(expression: ast.expr) -> str:
    if isinstance(expression, ast.Call) and dotted(expression.func):
        return f"{dotted(expression.func)}()"
    return dotted(expression) or ast.unparse(expression)[:MAX_NAME_LENGTH]
