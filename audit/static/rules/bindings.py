"""Which reads of a name come where nothing can have bound it, by the places of its bindings."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from audit.static.tree import TreeIndex

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_ARMS = (ast.If, ast.Try, ast.TryStar)
_NAMED = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar})
_LATER = (ast.GeneratorExp, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(slots=True)
class _Uses:
    """The places of one name in one scope. `is_given`: it is a parameter, or bound from another scope."""

    stores: list[ast.AST] = field(default_factory=list)
    loads: list[ast.Name] = field(default_factory=list)
    is_given: bool = False


def reads_before_binding(index: TreeIndex) -> Iterator[tuple[ast.Name, ast.AST]]:
    """Yield the reads of a function's or module's own names at which no path has bound them, with their scopes.

    A binding counts as run where it may have: earlier in the text and in no other branch, or in a common loop.
    Code that runs later (lambdas, generators, the bodies of functions) is left out.
    """
    for scope, name, uses in ((scope, *each) for scope, names in _uses(index) for each in names.items()):
        if uses.is_given or not uses.stores or not uses.loads:
            continue
        first = min(uses.stores, key=_place)
        end = _end_of_branches(first, scope, index)
        for load in uses.loads:
            if _place(load) > end or _is_deferred(load, name, scope, index):
                continue
            if not any(_may_precede(store, load, scope, index) for store in uses.stores):
                yield load, scope


def stored_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that statements or targets bind in their own scope."""
    return {name for node in nodes for name in _stored(node)}


def _stored(node: ast.AST) -> Iterator[str]:
    pending = [node]
    while pending:
        found = pending.pop()
        match found:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
                continue
            case ast.Lambda() | ast.comprehension():
                continue
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (each.asname or each.name.partition(".")[0] for each in aliases)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
        pending.extend(ast.iter_child_nodes(found))


def _uses(index: TreeIndex) -> Iterator[tuple[ast.AST, dict[str, _Uses]]]:
    """Yield the module and every function with the uses of the names in its own scope."""
    by_type = index.by_type
    elsewhere = {
        name
        for kind in (ast.Global, ast.Nonlocal)
        for node in by_type.get(kind, ())
        for name in getattr(node, "names", ())
    } | {str(getattr(node, "rest", "")) for node in by_type.get(ast.MatchMapping, ())}
    of_comprehensions = {
        each
        for node in by_type.get(ast.comprehension, ())
        for each in index.below(node.target)  # type: ignore[attr-defined]
    }
    for scope in (index.tree, *by_type.get(ast.FunctionDef, ()), *by_type.get(ast.AsyncFunctionDef, ())):
        found: dict[str, _Uses] = defaultdict(_Uses)
        loads: list[ast.Name] = []
        changed: set[ast.AST] = set()  # the targets of `x += 1`, which read and bind
        for node in index.own(scope):
            kind = node.__class__
            if kind is ast.Name:
                assert isinstance(node, ast.Name)
                if node.ctx.__class__ is ast.Load or node in changed:
                    loads.append(node)
                elif node.ctx.__class__ is ast.Store and node not in of_comprehensions and _binds(node, index):
                    found[node.id].stores.append(node)
            elif kind is ast.AugAssign:
                changed.add(node.target)  # type: ignore[attr-defined]
            elif kind is ast.arg:
                found[node.arg].is_given = True  # type: ignore[attr-defined]
            elif kind is ast.alias:
                assert isinstance(node, ast.alias)
                found[node.asname or node.name.partition(".")[0]].stores.append(node)
            elif kind in _NAMED and (name := getattr(node, "name", None)) is not None:
                found[name].stores.append(node)
        for load in loads:
            if load.id in found:  # else it is no name of this scope
                found[load.id].loads.append(load)
        yield scope, {name: uses for name, uses in found.items() if name not in elsewhere}


def _binds(name: ast.Name, index: TreeIndex) -> bool:
    parent = index.parent(name)
    return not isinstance(parent, ast.AnnAssign) or parent.value is not None


def _parent(node: ast.AST, index: TreeIndex) -> ast.AST:
    return index.parent(node) or index.tree


def _place(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _end_of_branches(node: ast.AST, scope: ast.AST, index: TreeIndex) -> tuple[int, int]:
    """Return the place behind which `node` may have run: its own, or the end of the outermost `if` or `try` around."""
    end = _place(node)
    if isinstance(statement := _parent(node, index), ast.stmt) and isinstance(node, ast.Name):
        end = max(end, (statement.end_lineno or 0, statement.end_col_offset or 0)) if _is_simple(statement) else end
    while node is not scope:
        if isinstance(node, _ARMS) and (node.orelse or getattr(node, "handlers", None)):
            end = (node.end_lineno or 0, node.end_col_offset or 0)
        node = _parent(node, index)
    return end


def _is_simple(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign)


def _may_precede(store: ast.AST, load: ast.AST, scope: ast.AST, index: TreeIndex) -> bool:
    """Return whether a binding may run before a read of the same scope."""
    below: dict[ast.AST, ast.AST] = {}  # each node around the binding, with the one below it
    node = store
    while node is not scope:
        below[_parent(node, index)] = node
        node = _parent(node, index)
    node = load
    while _parent(node, index) not in below:
        node = _parent(node, index)
    meeting = _parent(node, index)
    stored = below[meeting]
    around: ast.AST = meeting
    if isinstance(meeting, _LOOPS) and node is getattr(meeting, "iter", None) and meeting is not scope:
        around = _parent(meeting, index)  # what is looped over is evaluated once
        in_order = False
    else:
        in_order = _in_order(stored, node, meeting, textually=_place(store) < _place(load))
    while around is not scope:
        if isinstance(around, (*_LOOPS, *_COMPREHENSIONS)):
            return True
        around = _parent(around, index)
    return in_order


def _in_order(stored: ast.AST, loaded: ast.AST, meeting: ast.AST, *, textually: bool) -> bool:
    """Return whether of two parts of `meeting` the first may run before the second, loops apart.

    `textually` says whether the binding stands before the read.
    """
    if stored is loaded:  # a handler that names the exception it reads
        return True
    match meeting:
        case ast.If(body=body, orelse=orelse) if stored in body and loaded in orelse:
            return False
        case ast.Try(handlers=handlers, orelse=orelse) | ast.TryStar(handlers=handlers, orelse=orelse):
            if stored in handlers and (loaded in orelse or loaded in handlers):
                return False
        case ast.Assign(value=value) | ast.AnnAssign(value=value) | ast.NamedExpr(value=value) if loaded is value:
            return False
        case ast.IfExp(test=test) if stored is test:
            return True
    return textually


def _is_deferred(load: ast.AST, name: str, scope: ast.AST, index: TreeIndex) -> bool:
    """Return whether a read runs later, belongs to a comprehension's own names, or stands outside the scope's body."""
    node = load
    while node is not scope:
        parent = _parent(node, index)
        if isinstance(parent, _COMPREHENSIONS):
            targets = (each for generator in parent.generators for each in ast.walk(generator.target))
            if isinstance(parent, _LATER) or any(isinstance(each, ast.Name) and each.id == name for each in targets):
                return True
        if isinstance(parent, ast.AnnAssign) and node is parent.annotation:  # evaluated by few, in few versions
            return True
        if parent is scope:
            return node not in getattr(scope, "body", ())
        node = parent
    return False
