"""Which names the files of a package import from each other: an edit that takes one away would break another file."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from audit.static.analysis import StaticAnalysis, analyse
from audit.static.fixes.judging import Proposal
from audit.static.fixes.places import Tree
from audit.static.names import FileSummary, Origin
from audit.static.rules.rule import FixSafety
from audit.static.sources import SourceFile


class OtherFiles:
    """What the files of a tree, and of the package that it is part of, import from a module."""

    def __init__(
        self, tree: Tree, analysis: StaticAnalysis, *, exclude: Sequence[str], exclude_from: Path | None
    ) -> None:
        """Read nothing yet: few edits take a name away."""
        self._tree = tree
        self._analysis = analysis
        self._exclude = exclude
        self._exclude_from = exclude_from

    def respected(self, file: SourceFile, proposal: Proposal) -> Proposal:
        """Return the proposal, or a suggestion with the reason where a name that goes may be needed elsewhere."""
        why = self._need(file, proposal.fix.rebinds) if proposal.fix and proposal.fix.rebinds else None
        if why is None or proposal.fix is None:
            return proposal
        fix = replace(proposal.fix, safety=FixSafety.SUGGESTION)
        return replace(proposal, fix=fix, message=f"{proposal.message}; {why}")

    def _need(self, file: SourceFile, gone: Collection[str]) -> str | None:
        if file.is_package:
            return f"`{min(gone)}` may be imported from this package"
        for name in sorted(gone):
            if (file.module, name) in self._names or file.module in self._modules:
                return f"another file imports `{name}` from here"
        return None

    @cached_property
    def _summaries(self) -> Sequence[FileSummary]:
        """Those of the tree, or of the whole package where the tree is a part of one."""
        root, start = self._tree.root, self._tree.start
        top = root / start.relative_to(root).parts[0] if start != root else start
        if top == start or not (top / "__init__.py").is_file():
            return self._analysis.summaries
        return analyse(root, top, exclude=self._exclude, exclude_from=self._exclude_from).summaries

    @cached_property
    def _names(self) -> frozenset[tuple[str, str]]:
        """The names that are imported, with their module."""
        bound = (found for each in self._summaries for candidates in each.bindings.values() for found in candidates)
        return frozenset(
            (found.module, found.attributes[0]) for found in bound if found.origin is Origin.IMPORT and found.attributes
        )

    @cached_property
    def _modules(self) -> frozenset[str]:
        """The modules of which all names are imported."""
        return frozenset(star.module for each in self._summaries for star in each.stars)
