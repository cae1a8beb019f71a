"""The one walk over a file's syntax tree: every node by its type, with its parent and with all that is below it."""

import ast
from collections import defaultdict
from functools import cached_property

_DEFINITIONS = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef})
_SCOPES = _DEFINITIONS | {ast.Module}
_CLASSES = frozenset({ast.ClassDef})
# Fields that hold names, numbers, contexts or operators, in whatever class has them.
_PLAIN = frozenset(
    {"arg", "asname", "attr", "conversion", "ctx", "id", "is_async", "kind", "kwd_attrs", "level", "module", "op"}
) | frozenset({"ops", "rest", "simple", "tag", "type_comment", "type_ignores"})


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

    def own(self, node: ast.AST) -> list[ast.AST]:
        """Return the nodes below `node`, leaving out what is below the functions and classes defined in it."""
        return self._pruned(node, _DEFINITIONS)

    def in_functions(self, node: ast.AST) -> list[ast.AST]:
        """Return the nodes below `node`, leaving out what is below the classes defined in it."""
        return self._pruned(node, _CLASSES)

    def _pruned(self, node: ast.AST, ends: frozenset[type[ast.AST]]) -> list[ast.AST]:
        nodes, sizes = self.nodes, self._sizes
        top = self._position[node]
        position, end = top + 1, top + sizes[top]
        found = []
        while position < end:
            each = nodes[position]
            found.append(each)
            position += sizes[position] if each.__class__ in ends else 1
        return found

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Return the node around `node`; None for the module."""
        position = self._position[node]
        return self.nodes[self._parents[position]] if position else None

    def scope(self, node: ast.AST) -> ast.AST:
        """Return the function, class or module in whose scope `node` stands; the module itself for the module."""
        return self.nodes[self._scopes[self._position[node]]]

    @cached_property
    def _scopes(self) -> list[int]:
        """The position of the scope around each node: in one pass, for what is nested deeply has many nodes."""
        nodes, parents = self.nodes, self._parents
        scopes = [0] * len(nodes)
        for position in range(1, len(nodes)):
            parent = parents[position]
            scopes[position] = parent if nodes[parent].__class__ in _SCOPES else scopes[parent]
        return scopes
