"""What rules about names of a library share: every use and every import of a name in a table."""

import ast
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar

from audit.static.fixes.edits import Fix, fix
from audit.static.fixes.replacing import Replacement, rebound, replaced_import, replaced_use
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.imports import Import
from audit.static.rules.rule import Rule, Spot


class NamedApiRule(Rule):
    """A rule about names; `table` maps the full name to what to write instead, `replacements` to what to edit.

    Silent where the use or the import is tried (`except ImportError`) or depends on a version.
    """

    nodes = (ast.Attribute, ast.Name, ast.Import, ast.ImportFrom)
    table: ClassVar[Mapping[str, str]]
    replacements: ClassVar[Mapping[str, Replacement]] = {}

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
                yield Spot(
                    found.alias,
                    self.message(name),
                    fix=self._instead(name),
                    edits=lambda source, found=found: self._import_edits(found, context, source),  # type: ignore[misc]
                )

    def _named(self, qualified: str) -> str:
        """Return the name of the table that an import brings: its own, or that of the module it comes from."""
        module = qualified.rpartition(".")[0]
        return qualified if qualified in self.table else module if module in self.table else ""

    def _used(self, node: ast.Attribute | ast.Name, context: FileContext) -> Iterator[Spot]:
        qualified = context.resolve(node)
        if qualified in self.table and isinstance(node.ctx, ast.Load) and not context.guarded_name(node):
            yield Spot(
                node,
                self.message(qualified),
                fix=self._instead(qualified),
                edits=lambda source: self._use_edits(node, qualified, context, source),
            )

    def _import_edits(self, found: Import, context: FileContext, source: SourceText) -> Fix | None:
        edited = replaced_import(found, self.replacements, context, source)
        return fix(*edited, rebinds=rebound(found, self.replacements, context)) if edited else None

    def _use_edits(
        self, node: ast.Attribute | ast.Name, qualified: str, context: FileContext, source: SourceText
    ) -> Fix | None:
        """Return the edits of one use; that of an imported name is edited with the import."""
        replacement = self.replacements.get(qualified)
        if replacement is None:
            return None
        if isinstance(node, ast.Name):
            behind = context.imports.import_nodes(node)
            found = [each for each in context.imports.imports if each.node in behind and each.qualified == qualified]
            return self._import_edits(found[0], context, source) if len(found) == 1 else None
        edited = replaced_use(node, replacement, context, source)
        return fix(*edited) if edited else None

    def _instead(self, name: str) -> str:
        instead = self.table[name]
        return f"use {instead}" if instead else self.fix
