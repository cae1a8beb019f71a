"""The one walk over a file's tree: every node by its type, with its parent."""

import ast
from collections import defaultdict

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.Module)


class TreeIndex:
    """The nodes of a tree by type, in no particular order, and the parent of each."""

    def __init__(self, tree: ast.Module) -> None:
        """Walk `tree`."""
        self.tree = tree
        self.by_type: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        self.parents: dict[ast.AST, ast.AST] = {}
        by_type, parents = self.by_type, self.parents
        pending: list[ast.AST] = [tree]
        while pending:
            node = pending.pop()
            by_type[type(node)].append(node)
            for name in node._fields:
                value = getattr(node, name, None)
                if isinstance(value, list):
                    for each in value:
                        if isinstance(each, ast.AST):
                            parents[each] = node
                            pending.append(each)
                elif isinstance(value, ast.AST) and (value._fields or value._attributes):  # no `Load`, no `Add`
                    parents[value] = node
                    pending.append(value)

    def scope(self, node: ast.AST) -> ast.AST:
        """Return the function, class or module in whose scope `node` stands."""
        current = self.parents.get(node, self.tree)
        while not isinstance(current, _SCOPES):
            current = self.parents[current]
        return current
