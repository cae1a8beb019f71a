"""Submodules and names that an installed module makes at run time, as far as its statements tell. Nothing is run.

A package can put modules into `sys.modules`, bind names by `globals()` and answer for names in `__getattr__`. Where all
of that is written out, a name that it does not speak of is certainly not there; anything else may make any name.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from audit.static.tree import TreeIndex

# Finds modules elsewhere than in the package's folder, or runs what cannot be seen.
_ANY_SUBMODULE = re.compile(r"__path__|meta_path|path_hooks|\bexec\(|\beval\(|import modules|modules as")
_ANY_NAME = re.compile(r"\bexec\(|\beval\(")
_READING = frozenset({"get", "pop", "keys", "values", "items", "copy"})


@dataclass(frozen=True, slots=True)
class RunTime:
    """What a module makes at run time; None for what may be anything. `getters` answer for names that it lacks."""

    submodules: frozenset[str] | None
    names: frozenset[str] | None
    getters: tuple[ast.FunctionDef, ...]
    containers: Mapping[str, frozenset[str]]

    def may_have_submodule(self, module: str) -> bool:
        """Whether a module of this full name may be made."""
        return self.submodules is None or module in self.submodules

    def may_have_name(self, name: str) -> bool:
        """Whether a name may be bound, or given by `__getattr__`."""
        if self.names is None or name in self.names:
            return True
        return any(
            _answer(getter.body, _parameter(getter), name, self.containers) != _RAISES for getter in self.getters
        )


ANYTHING = RunTime(None, None, (), {})


def made_at_run_time(text: str, module: str) -> RunTime:
    """Return what the module with this text and full name makes at run time."""
    try:
        tree = ast.parse(text)
        return _made(tree, text, module)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ANYTHING


def _made(tree: ast.Module, text: str, module: str) -> RunTime:
    index = TreeIndex(tree)
    getters = tuple(
        node for node in _of_module(tree) if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
    )
    caching = {id(node) for getter in getters for node in index.below(getter)}  # binds what it answers
    submodules: set[str] | None = None if _ANY_SUBMODULE.search(text) else set()
    names: set[str] | None = None if _ANY_NAME.search(text) or _gives_getter_otherwise(tree, getters) else set()
    for node in (*index.by_type[ast.Attribute], *index.by_type[ast.Call]):
        match node:
            case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
                made = _put_into_modules(node, index, module)
                if made is None:
                    submodules = None
                elif submodules is not None:
                    submodules |= made
                if names is not None and id(node) not in caching and _changes_itself(node, index, made, module):
                    names = None
            case ast.Call(func=ast.Name(id="setattr"), args=[ast.Name(id=owner), *_]) if (
                owner == module.rpartition(".")[2]
            ):
                names = None
            case ast.Call(func=ast.Name(id="globals" | "vars" | "locals"), args=[]) if id(node) not in caching:
                bound = _bound_in_namespace(node, index)
                names = None if names is None or bound is None else names | bound
    return RunTime(
        None if submodules is None else frozenset(submodules),
        None if names is None else frozenset(names),
        getters,
        _containers(tree),
    )


def _of_module(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of the module's own scope, those in branches among them."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = ast.iter_child_nodes(node)
            pending.extend(each for each in inner if isinstance(each, ast.stmt | ast.ExceptHandler | ast.match_case))


def _gives_getter_otherwise(tree: ast.Module, getters: tuple[ast.FunctionDef, ...]) -> bool:
    """Whether `__getattr__` is bound by anything but one definition that can be followed."""
    if len(getters) > 1 or any(getter.decorator_list or not _parameter(getter) for getter in getters):
        return True
    for node in _of_module(tree):
        match node:
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                if any("__getattr__" in (alias.name, alias.asname) for alias in aliases):
                    return True
            case ast.Assign(targets=targets):
                if any(
                    isinstance(part, ast.Name) and part.id == "__getattr__"
                    for each in targets
                    for part in ast.walk(each)
                ):
                    return True
    return False


def _put_into_modules(node: ast.Attribute, index: TreeIndex, module: str) -> set[str] | None:
    """Return the names under which a use of `sys.modules` puts modules there; None where that cannot be told."""
    parent = index.parent(node)
    match parent:
        case ast.Subscript(ctx=ast.Load() | ast.Del(), value=value) if value is node:
            return set()
        case ast.Subscript(slice=key, value=value) if value is node:
            name = _text(key, module)
            if name == module and not _is_instance(index.parent(parent)):
                return None  # another module stands in for this one, with submodules of its own
            return None if name is None else {name}
        case ast.Compare():
            return set()
        case ast.Attribute(attr=method):
            call = index.parent(parent)
            if method in _READING:
                return set()
            if isinstance(call, ast.Call) and method == "setdefault" and call.args:
                name = _text(call.args[0], module)
                return None if name is None else {name}
    return None


def _is_instance(statement: ast.AST | None) -> bool:
    """Whether a statement assigns what a call makes: a lazy module, which finds its submodules where this one does."""
    return isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call)


def _text(node: ast.expr, module: str) -> str | None:
    """Return the text that an expression gives, made of texts and the module's `__name__`; None for any other."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id="__name__"):
            return module
        case ast.FormattedValue(value=value, format_spec=None):
            return _text(value, module)
        case ast.JoinedStr(values=parts):
            texts = [_text(part, module) for part in parts]
            return None if None in texts else "".join(text or "" for text in texts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            one, other = _text(left, module), _text(right, module)
            return None if one is None or other is None else one + other
    return None


def _changes_itself(node: ast.Attribute, index: TreeIndex, made: set[str] | None, module: str) -> bool:
    """Whether a use of `sys.modules` replaces the module, or takes it to do something with it."""
    if made is None or module in made:
        return True
    parent = index.parent(node)
    if isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Load):
        return _text(parent.slice, module) in (None, module)
    return isinstance(parent, ast.Attribute)


def _bound_in_namespace(node: ast.Call, index: TreeIndex) -> set[str] | None:
    """Return the names that a use of `globals()` binds; None where that cannot be told."""
    parent = index.parent(node)
    match parent:
        case ast.Subscript(ctx=ast.Load() | ast.Del()) | ast.Compare():
            return set()
        case ast.Attribute(attr=method) if method in _READING:
            return set()
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return {name}
        case ast.Subscript(slice=ast.Name(id=variable)):
            place: ast.AST | None = parent
            while place is not None:
                place = index.parent(place)
                match place:
                    case ast.For(target=ast.Name(id=looped), iter=given) if looped == variable:
                        return _texts(given)
    return None


def _texts(node: ast.expr) -> set[str] | None:
    """Return the texts of a literal collection, of a dict its keys; None for any other expression."""
    match node:
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            given: list[ast.expr | None] = [*parts]
        case ast.Dict(keys=keys):
            given = [*keys]
        case ast.Call(func=ast.Name(id="set" | "frozenset" | "tuple" | "list"), args=[inner], keywords=[]):
            return _texts(inner)
        case _:
            return None
    texts = {part.value for part in given if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    return texts if all(isinstance(part, ast.Constant) for part in given) else None


def _containers(tree: ast.Module) -> dict[str, frozenset[str]]:
    """Return the collections of texts that the module binds once, by name."""
    found: dict[str, frozenset[str] | None] = {}
    for node in _of_module(tree):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                texts = _texts(value)
                found[name] = None if name in found or texts is None else frozenset(texts)
            case ast.AugAssign(target=ast.Name(id=name)):
                found[name] = None
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
                found[name] = None  # `append`, `update` and their like
    return {name: texts for name, texts in found.items() if texts is not None}


_RAISES, _RETURNS, _GOES_ON = "raises", "returns", "goes on"


def _parameter(getter: ast.FunctionDef) -> str:
    arguments = [*getter.args.posonlyargs, *getter.args.args]
    return arguments[0].arg if len(arguments) == 1 else ""


def _answer(body: list[ast.stmt], parameter: str, name: str, containers: Mapping[str, frozenset[str]]) -> str:
    """Return how statements of `__getattr__` end when it is asked for a name: `_RETURNS` where it may return."""
    for node in body:
        match node:
            case ast.Raise():
                return _RAISES
            case ast.If(test=test, body=inner, orelse=orelse):
                decided = _test(test, parameter, name, containers)
                ends = {
                    _answer(branch, parameter, name, containers)
                    for branch, taken in ((inner, decided is not False), (orelse, decided is not True))
                    if taken
                }
                if _RETURNS in ends:
                    return _RETURNS
                if ends == {_RAISES}:
                    return _RAISES
            case _ if any(isinstance(part, ast.Return) for part in ast.walk(node)):
                return _RETURNS
    return _GOES_ON


def _test(test: ast.expr, parameter: str, name: str, containers: Mapping[str, frozenset[str]]) -> bool | None:
    """Return whether a condition on the name that is asked for holds; None where that cannot be told."""
    match test:
        case ast.Compare(left=ast.Name(id=left), ops=[operator], comparators=[other]) if left == parameter:
            known = _texts(other)
            if known is None and isinstance(other, ast.Name):
                known = set(containers[other.id]) if other.id in containers else None
            match operator, other:
                case ast.Eq(), ast.Constant(value=value):
                    return bool(value == name)
                case ast.In(), _ if known is not None:
                    return name in known
                case ast.NotIn(), _ if known is not None:
                    return name not in known
    return None
