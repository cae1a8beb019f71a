"""Which reads of a name come where nothing can have bound it, by the places of its bindings."""

import ast
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set

from audit.static.rules.syntax import parameters
from audit.static.tree import TreeIndex, children

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_ARMS = (ast.If, ast.Try, ast.TryStar)
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_LATER = (ast.GeneratorExp, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def reads_before_binding(index: TreeIndex) -> Iterator[tuple[ast.Name, ast.AST]]:
    """Yield the reads of a function's or module's own names at which no path has bound them, with their scopes.

    A binding counts as run where it may have: earlier in the text and in no other branch, or in a common loop.
    Code that runs later (lambdas, generators, the bodies of functions) is left out.
    """
    by_type = index.by_type
    # The targets of `x += 1` read and bind.
    changed = {each.target for each in by_type.get(ast.AugAssign, ()) if isinstance(each, ast.AugAssign)}
    stores = _stores(index, changed)
    for scope in (index.tree, *by_type.get(ast.FunctionDef, ()), *by_type.get(ast.AsyncFunctionDef, ())):
        own = stores.get(scope, {})
        if own and isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            for parameter in filter(None, (*parameters(scope), scope.args.vararg, scope.args.kwarg)):
                own.pop(parameter.arg, None)
        if not own:
            continue
        ends = [*map(index.position, getattr(scope, "body", ())), *_ends(scope, index)]
        for name, places in own.items():
            for load in _early(name, _first(places), scope, ends, index):
                if not (isinstance(load.ctx, ast.Load) or load in changed) or _is_deferred(load, name, scope, index):
                    continue
                if not any(_may_precede(store, load, scope, index) for store in places):
                    yield load, scope


def _ends(scope: ast.AST, index: TreeIndex) -> tuple[int, int]:
    """Return the positions behind the body of a scope and behind all of it."""
    end = index.span(scope)[1]
    return (index.span(scope.body[-1])[1] if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef) else end), end


def _early(name: str, first: ast.AST, scope: ast.AST, ends: Sequence[int], index: TreeIndex) -> Sequence[ast.Name]:
    """Return the places of a name in its scope that are not behind its first binding, nor behind the branches of that.

    `ends` are the sorted positions at which the statements of the scope's body begin, and where it ends. What stands
    behind the whole statement with the first binding is not looked at: most reads do.
    """
    places = index.name_places.get(name, ())
    binding = index.position(first)
    start, limit = bisect_left(places, index.position(scope)), bisect_left(places, ends[bisect_right(ends, binding)])
    if start == limit or (start + 1 == limit and places[start] == binding):
        return ()
    end = _end_of_branches(first, index.around(first, scope) or [scope])
    return [
        node
        for node in map(index.nodes.__getitem__, places[start:limit])
        if isinstance(node, ast.Name) and index.scope(node) is scope and (node.lineno, node.col_offset) <= end
    ]


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
        pending += children(found)


def _stores(index: TreeIndex, changed: Set[ast.AST]) -> dict[ast.AST, dict[str, list[ast.AST]]]:
    """Return where each scope binds its own names.

    Without names that other scopes bind as well, and names that are `changed`.
    """
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
    declared = {
        each.target for each in by_type.get(ast.AnnAssign, ()) if isinstance(each, ast.AnnAssign) and each.value is None
    }
    apart = of_comprehensions | declared | changed
    found: dict[ast.AST, dict[str, list[ast.AST]]] = defaultdict(lambda: defaultdict(list))
    scope_of, store = index.scope, ast.Store
    for stored in index.stored:
        name = stored.id
        if name not in elsewhere and stored not in apart and stored.ctx.__class__ is store:
            found[scope_of(stored)][name].append(stored)
    for node in by_type.get(ast.alias, ()):
        assert isinstance(node, ast.alias)
        name = node.asname or node.name.partition(".")[0]
        if name not in elsewhere:
            found[scope_of(node)][name].append(node)
    for kind in _NAMED:
        for node in by_type.get(kind, ()):
            named = getattr(node, "name", None)
            if named is not None and named not in elsewhere:
                found[scope_of(node)][named].append(node)
    return found


def _first(places: Sequence[ast.AST]) -> ast.AST:
    return places[0] if len(places) == 1 else min(places, key=_place)


def _parent(node: ast.AST, index: TreeIndex) -> ast.AST:
    return index.parent(node) or index.tree


def _place(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _end_of_branches(node: ast.AST, around: Sequence[ast.AST]) -> tuple[int, int]:
    """Return the place behind which `node` may have run: its own, or the end of the outermost `if` or `try` around."""
    for each in reversed(around):
        if isinstance(each, _ARMS) and (each.orelse or getattr(each, "handlers", None)):
            return each.end_lineno or 0, each.end_col_offset or 0
    end = _place(node)
    statement = around[0]
    if isinstance(node, ast.Name) and isinstance(statement, _SIMPLE):
        end = max(end, (statement.end_lineno or 0, statement.end_col_offset or 0))
    return end


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
