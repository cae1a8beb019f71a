"""What the names of a file stand for through its imports: a light table, exact where it answers."""

import ast
from collections import defaultdict
from dataclasses import dataclass

from audit.static.builtin_names import BUILTIN_NAMES
from audit.static.scopes import dotted
from audit.static.tree import TreeIndex

_NOT_AN_IMPORT = ""


@dataclass(frozen=True, slots=True)
class Import:
    """One name that an import statement binds."""

    node: ast.Import | ast.ImportFrom
    alias: ast.alias
    qualified: str


class ImportTable:
    """The names that imports bind, by scope. A name that anything else binds in the same scope has no answer."""

    def __init__(self, index: TreeIndex) -> None:
        """Read the imports of the tree, and which of their names are bound by something else as well."""
        self._index = index
        self.imports: list[Import] = []
        self.qualified_by_name: dict[str, set[str]] = defaultdict(set)  # whatever the scope
        self.has_star = False
        self._bound: dict[ast.AST, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._nodes: dict[tuple[ast.AST, str], list[ast.AST]] = defaultdict(list)
        self._read_imports()
        self._read_other_bindings({name for names in self._bound.values() for name in names})

    def _read_imports(self) -> None:
        for node in self._index.by_type.get(ast.Import, ()):
            assert isinstance(node, ast.Import)
            for alias in node.names:
                module = alias.name if alias.asname else alias.name.partition(".")[0]
                self._bind_import(Import(node, alias, alias.name), alias.asname or module, module)
        for node in self._index.by_type.get(ast.ImportFrom, ()):
            assert isinstance(node, ast.ImportFrom)
            for alias in node.names:
                qualified = f"{'.' * node.level}{node.module or ''}.{alias.name}"
                if alias.name == "*":
                    self.has_star = True
                else:
                    self._bind_import(Import(node, alias, qualified), alias.asname or alias.name, qualified)

    def _bind_import(self, found: Import, name: str, qualified: str) -> None:
        scope = self._index.scope(found.node)
        self.imports.append(found)
        self._bound[scope][name].add(qualified)
        self.qualified_by_name[name].add(qualified)
        self._nodes[scope, name].append(found.node)

    def _read_other_bindings(self, imported: set[str]) -> None:
        by_type = self._index.by_type
        for stored in self._index.stored:
            if stored.id in imported:
                self._bound[self._index.scope(stored)][stored.id].add(_NOT_AN_IMPORT)
        for node in by_type.get(ast.arg, ()):
            assert isinstance(node, ast.arg)
            if node.arg in imported:
                self._bound[self._index.scope(node)][node.arg].add(_NOT_AN_IMPORT)
        for kind in (
            ast.FunctionDef,
            ast.AsyncFunctionDef,
            ast.ClassDef,
            ast.ExceptHandler,
            ast.MatchAs,
            ast.MatchStar,
        ):
            for node in by_type.get(kind, ()):
                name = getattr(node, "name", None)
                if name in imported:
                    self._bound[self._index.scope(node)][str(name)].add(_NOT_AN_IMPORT)
        for declared in (ast.Global, ast.Nonlocal):
            for node in by_type.get(declared, ()):
                for name in set(getattr(node, "names", ())) & imported:
                    self._bound[self._index.scope(node)][name].add(_NOT_AN_IMPORT)

    def resolve(self, expression: ast.expr | None) -> str:
        """Return the full dotted name that an expression stands for; empty where that is not certain."""
        name = dotted(expression) if isinstance(expression, ast.Name | ast.Attribute) else ""
        return self.resolve_at(name, expression) if name and expression is not None else ""

    def resolve_at(self, name: str, at: ast.AST) -> str:
        """Return the full dotted name that a dotted name would stand for in the scope of a node; empty where unsure."""
        first, _, rest = name.partition(".")
        scope = self._binding_scope(at, first)
        if scope is None:
            return name if first in BUILTIN_NAMES and not self.has_star else ""
        found = self._bound[scope][first]
        if len(found) != 1 or _NOT_AN_IMPORT in found:
            return ""
        (qualified,) = found
        return f"{qualified}.{rest}" if rest else qualified

    def import_nodes(self, expression: ast.expr) -> list[ast.AST]:
        """Return the import statements that bind the first name of a dotted one."""
        first = dotted(expression).partition(".")[0]
        scope = self._binding_scope(expression, first)
        return [] if scope is None else self._nodes[scope, first]

    def _binding_scope(self, expression: ast.AST, name: str) -> ast.AST | None:
        """Return the innermost scope that binds `name` as Python looks it up: a method does not see its class."""
        scope = self._index.scope(expression)
        start = scope
        while True:
            if name in self._bound.get(scope, ()) and (scope is start or not isinstance(scope, ast.ClassDef)):
                return scope
            if isinstance(scope, ast.Module):
                return None
            scope = self._index.scope(scope)
