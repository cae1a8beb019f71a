"""The one walk over a file's syntax tree: every node by its type, with its parent and with all that is below it."""

import ast
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from operator import attrgetter

_DEFINITIONS = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef})
# Fields that hold names, numbers, contexts or operators, in whatever class has them.
_PLAIN = frozenset(
    {"arg", "asname", "attr", "conversion", "ctx", "id", "is_async", "kind", "kwd_attrs", "level", "module", "op"}
) | frozenset({"ops", "rest", "simple", "tag", "type_comment", "type_ignores"})

# Where a tree holds identifiers, besides names and attributes: these fields are one or None, those lists of them.
_IDENTIFIERS: dict[str, str] = {
    "arg": "arg",
    "keyword": "arg",
    "ImportFrom": "module",
    "FunctionDef": "name",
    "AsyncFunctionDef": "name",
    "ClassDef": "name",
    "ExceptHandler": "name",
    "MatchAs": "name",
    "MatchStar": "name",
    "MatchMapping": "rest",
    "TypeVar": "name",  # these three since Python 3.12
    "ParamSpec": "name",
    "TypeVarTuple": "name",
}
_IDENTIFIER_LISTS: dict[str, str] = {"Global": "names", "Nonlocal": "names", "MatchClass": "kwd_attrs"}


_ID, _ATTRIBUTE, _VALUE = map(attrgetter, ("id", "attr", "value"))


class _NodeFields(dict[type, tuple[str, ...]]):
    """The fields of a class that can hold nodes or lists of them, the last one first; found when first asked for."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        found: tuple[str, ...] = ()
        if kind not in (ast.Constant, ast.Global, ast.MatchSingleton, ast.Nonlocal):
            # `name` is a text, but for `type X = ...` of Python 3.12.
            plain = _PLAIN if kind.__name__ == "TypeAlias" else _PLAIN | {"name"}
            found = tuple(name for name in reversed(kind._fields) if name not in plain)
        self[kind] = found
        return found


_NODE_FIELDS = _NodeFields()

_WITH_GAPS = frozenset({ast.Dict, ast.arguments})  # a list of them holds None for `**x`, and for a missing default


def children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes right below `node` in the order of its fields, without contexts and operators.

    It takes three fifths of the time of `ast.iter_child_nodes`, which asks every field of every node what it is.
    """
    found: list[ast.AST] = []
    for name in reversed(_NODE_FIELDS[node.__class__]):
        value = getattr(node, name, None)
        if value.__class__ is list:
            found += value
        elif value is not None:
            found.append(value)
    return [each for each in found if each is not None] if node.__class__ in _WITH_GAPS else found


def walk(node: ast.AST) -> list[ast.AST]:
    """Return what `ast.walk` yields, without contexts and operators, in the same order and half the time."""
    found = [node]
    for each in found:  # which grows
        found += children(each)
    return found


class TreeIndex:
    """The nodes of a tree in the order of the source, each before what is below it.

    Contexts and operators (`Load`, `Add`) are not among the nodes: one object stands for all of a kind.
    """

    def __init__(self, tree: ast.Module) -> None:
        """Walk `tree`."""
        self.tree = tree
        self.nodes: list[ast.AST] = []
        self.by_type: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        self._position: dict[ast.AST, int] = {}
        self._parents: list[int] = []
        nodes, by_type, position, parents, fields_of = (
            self.nodes,
            self.by_type,
            self._position,
            self._parents,
            _NODE_FIELDS,
        )
        pending: list[ast.AST] = [tree]
        pending_parents = [0]
        while pending:
            node = pending.pop()
            parents.append(pending_parents.pop())
            kind = node.__class__
            here = position[node] = len(nodes)
            nodes.append(node)
            by_type[kind].append(node)
            for name in fields_of[kind]:
                value = getattr(node, name, None)
                if value.__class__ is list:
                    for part in reversed(value):
                        if part is not None:  # `{**x}` has no key there
                            pending.append(part)
                            pending_parents.append(here)
                elif value is not None:
                    pending.append(value)
                    pending_parents.append(here)

    @cached_property
    def _sizes(self) -> list[int]:
        """How many nodes each subtree has."""
        sizes = [1] * len(self.nodes)
        parents = self._parents
        for position in range(len(sizes) - 1, 0, -1):
            sizes[parents[position]] += sizes[position]
        return sizes

    def below(self, node: ast.AST) -> list[ast.AST]:
        """Return `node` and all nodes below it, in the order of the source."""
        position = self._position[node]
        return self.nodes[position : position + self._sizes[position]]

    def span_of(self, statements: Sequence[ast.stmt]) -> list[ast.AST]:
        """Return the statements of one body, and all nodes below them: they stand side by side."""
        if not statements:
            return []
        last = self._position[statements[-1]]
        return self.nodes[self._position[statements[0]] : last + self._sizes[last]]

    def own(self, node: ast.AST) -> list[ast.AST]:
        """Return the nodes below `node`, leaving out what is below the functions and classes defined in it."""
        return self._pruned(node, self._definitions)

    def in_functions(self, node: ast.AST) -> list[ast.AST]:
        """Return the nodes below `node`, leaving out what is below the classes defined in it."""
        return self._pruned(node, self._classes)

    def _pruned(self, node: ast.AST, ends: Sequence[int]) -> list[ast.AST]:
        """Return what is below `node` and not below the nodes at the sorted positions `ends`."""
        nodes, sizes = self.nodes, self._sizes
        top = self._position[node]
        start, end = top + 1, top + sizes[top]
        found: list[ast.AST] = []
        while True:
            following = bisect_left(ends, start)
            if following == len(ends) or ends[following] >= end:
                return found + nodes[start:end]
            pruned = ends[following]
            found += nodes[start : pruned + 1]
            start = pruned + sizes[pruned]

    @cached_property
    def _definitions(self) -> list[int]:
        return self._positions_of(_DEFINITIONS)

    @cached_property
    def _classes(self) -> list[int]:
        return self._positions_of((ast.ClassDef,))

    def _positions_of(self, kinds: Iterable[type[ast.AST]]) -> list[int]:
        return sorted(self._position[node] for kind in kinds for node in self.by_type.get(kind, ()))

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Return the node around `node`; None for the module."""
        position = self._position[node]
        return self.nodes[self._parents[position]] if position else None

    def scope(self, node: ast.AST) -> ast.AST:
        """Return the function, class or module in whose scope `node` stands; the module itself for the module."""
        return self.nodes[self._scopes[self._position[node]]]

    @cached_property
    def _scopes(self) -> list[int]:
        """The position of the scope around each node: filled from one definition to the next."""
        scopes: list[int] = []
        around = [(0, len(self.nodes))]  # the scopes that are open, each with where it ends

        def close(until: int) -> None:
            while around and around[-1][1] <= until:
                scope, end = around.pop()
                scopes.extend([scope] * (end - len(scopes)))

        for position in self._definitions:
            close(position)
            scopes.extend([around[-1][0]] * (position + 1 - len(scopes)))
            around.append((position, position + self._sizes[position]))
        close(len(self.nodes))
        return scopes

    def around(self, node: ast.AST, scope: ast.AST) -> list[ast.AST]:
        """Return the nodes around `node` that are below `scope`, the innermost first."""
        nodes, parents = self.nodes, self._parents
        found = []
        position, top = parents[self._position[node]], self._position[scope]
        while position != top:
            found.append(nodes[position])
            position = parents[position]
        return found

    def position(self, node: ast.AST) -> int:
        """Return where in `nodes` the node stands."""
        return self._position[node]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the positions, in `nodes`, of `node` and of the first node behind it that is not below it."""
        position = self._position[node]
        return position, position + self._sizes[position]

    def is_below(self, node: ast.AST, top: ast.AST) -> bool:
        """Return whether `node` is `top` or stands in it."""
        start, end = self.span(top)
        return start <= self._position[node] < end

    @cached_property
    def importing(self) -> frozenset[ast.AST]:
        """The scopes that hold import statements."""
        nodes = (*self.by_type.get(ast.Import, ()), *self.by_type.get(ast.ImportFrom, ()))
        return frozenset(map(self.scope, nodes))

    @cached_property
    def stored(self) -> list[ast.Name]:
        """The names that are bound or deleted where they stand."""
        load = ast.Load
        names: list[ast.Name] = self.by_type.get(ast.Name, [])  # type: ignore[assignment]
        return [name for name in names if name.ctx.__class__ is not load]

    @cached_property
    def stored_attributes(self) -> list[ast.Attribute]:
        """The attributes that are set or deleted where they stand."""
        load = ast.Load
        nodes: list[ast.Attribute] = self.by_type.get(ast.Attribute, [])  # type: ignore[assignment]
        return [node for node in nodes if node.ctx.__class__ is not load]

    @cached_property
    def name_places(self) -> dict[str, list[int]]:
        """The sorted positions in `nodes` at which each name stands, whatever is done with it."""
        names = self.by_type.get(ast.Name, [])
        found: dict[str, list[int]] = defaultdict(list)
        for name, place in zip(map(_ID, names), map(self._position.__getitem__, names), strict=True):
            found[name].append(place)
        return dict(found)

    @cached_property
    def attributes_by_name(self) -> dict[str, list[ast.AST]]:
        """The attributes of expressions by their own name."""
        nodes = self.by_type.get(ast.Attribute, [])
        found: dict[str, list[ast.AST]] = defaultdict(list)
        for name, node in zip(map(_ATTRIBUTE, nodes), nodes, strict=True):
            found[name].append(node)
        return dict(found)

    @cached_property
    def constant_values(self) -> list[object]:
        """The values of the nodes of `ast.Constant`, in their order."""
        return list(map(_VALUE, self.by_type.get(ast.Constant, ())))

    @cached_property
    def vocabulary(self) -> str:
        """Every identifier of the tree, and every string but those that stand alone as a statement, on lines."""
        by_name = {kind.__name__: nodes for kind, nodes in self.by_type.items()}
        found: set[str | None] = {*self.name_places, *self.attributes_by_name}
        for kind, field in _IDENTIFIERS.items():
            found.update(map(attrgetter(field), by_name.get(kind, ())))
        for kind, field in _IDENTIFIER_LISTS.items():
            found.update(name for node in by_name.get(kind, ()) for name in getattr(node, field))
        for alias in by_name.get("alias", ()):
            assert isinstance(alias, ast.alias)
            found |= {alias.name, alias.asname}
        alone = {statement.value for statement in by_name.get("Expr", ()) if isinstance(statement, ast.Expr)}
        constants = zip(self.by_type.get(ast.Constant, ()), self.constant_values, strict=True)
        found.update(value for node, value in constants if isinstance(value, str) and node not in alone)
        return "\n".join(filter(None, found))
