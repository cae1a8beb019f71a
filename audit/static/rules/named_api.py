"""What rules about names of a library share: every use and every import of a name in a table."""

import ast
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar

from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot


class NamedApiRule(Rule):
    """A rule about names; `table` maps the full name to what to write instead.

    Silent where the use or the import is tried (`except ImportError`) or depends on a version.
    """

    nodes = (ast.Attribute, ast.Name, ast.Import, ast.ImportFrom)
    table: ClassVar[Mapping[str, str]]

    @abstractmethod
    def message(self, name: str) -> str:
        """Return what the user reads of a use of `name`."""

    @cached_property
    def _last_parts(self) -> frozenset[str]:
        return frozenset(name.rpartition(".")[2] for name in self.table)

    @cached_property
    def _roots(self) -> frozenset[str]:
        return frozenset(name.partition(".")[0] for name in self.table)

    def candidates(self, context: FileContext) -> Iterator[ast.AST]:
        """Yield the imports, the attributes of names in the table, and names where an import brings one."""
        if any(context.belongs_to(root) for root in self._roots):
            return
        by_type = context.index.by_type
        yield from dict.fromkeys(each.node for each in context.imports.imports if self._named(each.qualified))
        for name in self._last_parts:
            yield from context.attributes_by_name.get(name, ())
        if any(self.table.keys() & found for found in context.imports.qualified_by_name.values()):
            yield from by_type.get(ast.Name, ())

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a spot for a name of the table that is used or imported at `node`."""
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from self._imported(node, context)
            case ast.Attribute(attr=name) if name in self._last_parts:
                yield from self._used(node, context)
            case ast.Name(id=name, ctx=ast.Load()) if self.table.keys() & context.imports.qualified_by_name.get(
                name, ()
            ):
                yield from self._used(node, context)

    def _imported(self, node: ast.Import | ast.ImportFrom, context: FileContext) -> Iterator[Spot]:
        for found in context.imports.imports:
            name = self._named(found.qualified)
            if found.node is node and name and not context.guarded(node):
                yield Spot(found.alias, self.message(name), fix=self._instead(name))

    def _named(self, qualified: str) -> str:
        """Return the name of the table that an import brings: its own, or that of the module it comes from."""
        module = qualified.rpartition(".")[0]
        return qualified if qualified in self.table else module if module in self.table else ""

    def _used(self, node: ast.Attribute | ast.Name, context: FileContext) -> Iterator[Spot]:
        qualified = context.resolve(node)
        if qualified in self.table and isinstance(node.ctx, ast.Load) and not context.guarded_name(node):
            yield Spot(node, self.message(qualified), fix=self._instead(qualified))

    def _instead(self, name: str) -> str:
        instead = self.table[name]
        return f"use {instead}" if instead else self.fix
