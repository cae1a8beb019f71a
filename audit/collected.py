"""Facts about a target, each gathered when it is first asked for."""

import gc
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from audit.catalog import Catalog, Undeclared
from audit.execute import open_probe
from audit.gateway import Probe, ProbeFailure, TargetRaised
from audit.reading_specs import read_catalog
from audit.report.document import Environment
from audit.static.analysis import StaticAnalysis, analyse
from audit.static.environment import site_folders
from audit.static.imports.ahead import ForecastAhead
from audit.static.imports.causes import ImportRow
from audit.static.imports.forecast import forecast
from audit.static.imports.interpreter import FactsAhead
from audit.static.inventory import InventoryItem
from audit.static.paths import TreeFiles, tree_files
from audit.static.store import FactStore, cache_folder
from audit.target import Target


class Collected:
    """Facts about the target, each gathered when a planner first asks for it."""

    def __init__(
        self, target: Target, *, cache: bool = False, only: Sequence[str] = (), forecasts: bool = False
    ) -> None:
        """Gather nothing yet.

        With `cache`, what earlier runs learned of the same files counts; `only` are the checks and areas that the
        user names. With `forecasts` it is sure that the imports will be asked for.
        """
        self.target = target
        self._cache = cache
        self.only = tuple(only)
        self.probe: Probe | None = None
        self._store: FactStore | None = None
        self._forecasts = forecasts
        self._ahead = ForecastAhead()
        self._facts: FactsAhead | None = None

    @cached_property
    def tree(self) -> TreeFiles | None:
        """Which files of a tree are analysed and shown; None where the target is a package."""
        target, settings = self.target, self.target.settings
        if not target.is_tree:
            return None
        return tree_files(
            target.root,
            target.paths,
            exclude=settings.exclude,
            source=settings.source,
            notebooks=settings.notebooks,
        )

    @cached_property
    def analysis(self) -> StaticAnalysis:
        """What the sources say: the package's, or those of a tree and of the packages in it; imports nothing."""
        if self._forecasts:
            self._facts = FactsAhead(self.target.python)
        target, tree = self.target, self.tree
        self._store = FactStore(cache_folder()) if self._cache else None
        found = analyse(
            target.source,
            target.package_path,
            exclude=target.settings.exclude,
            notebooks=target.settings.notebooks,
            installed=(*(tree.search if tree else ()), *site_folders(target.python)),
            project=target.root,
            workers=target.workers,
            store=self._store,
            found=tree.discovery if tree else None,
            with_surroundings=not target.paths,
            when_read=self._forecast_ahead,
        )
        if self._ahead.is_running:  # it is one of the processes that the target may have side by side
            found = replace(found, workers=max(1, found.workers - 1))
        gc.freeze()  # it stays until the end; going through it costs more than all that is done with it
        return found

    @cached_property
    def shown(self) -> StaticAnalysis:
        """What the sources say that the run is limited to; all where it is not limited."""
        paths = self.tree.shown if self.tree else None
        return self.analysis if paths is None else self.analysis.of_files(paths)

    @cached_property
    def inventory(self) -> tuple[InventoryItem, ...]:
        """The inventory with paths relative to the target's root."""
        return self._with_paths(self.shown.surroundings)

    @cached_property
    def inventory_without_tests(self) -> tuple[InventoryItem, ...]:
        """The inventory without what the tests around the package hold, which are not read for it."""
        return self._with_paths(self.shown.surroundings_without_tests)

    def _with_paths(self, surroundings: Iterable[InventoryItem]) -> tuple[InventoryItem, ...]:
        rooted: Iterable[InventoryItem] = self.shown.inventory
        if self.target.source != self.target.root:
            rooted = [item.model_copy(update={"path": self.rooted(item.path)}) for item in rooted]
        every = (*rooted, *surroundings)
        return tuple(sorted(every, key=lambda item: (item.path, item.line, item.qualname, item.kind)))

    @cached_property
    def imports(self) -> tuple[ImportRow, ...] | None:
        """Which modules would fail to import; None where the interpreter does not tell what that depends on."""
        tree = self.tree
        self._ahead.wait()
        if tree is None:
            return forecast(self.analysis, self.target, asked=self._facts)
        search, undecided = self._search(tree), tree.ambiguous
        rows = forecast(self.analysis, self.target, search=search, undecided=undecided, asked=self._facts)
        return rows and tuple(row for row in rows if tree.shown is None or row.path in tree.shown)

    def _forecast_ahead(self, read: StaticAnalysis) -> None:
        tree = self.tree
        if not self._forecasts:
            return
        search, undecided = (self._search(tree), tree.ambiguous) if tree else ((), frozenset[str]())
        self._ahead = ForecastAhead.of(read, self.target, search=search, undecided=undecided)

    def _search(self, tree: TreeFiles) -> tuple[Path, ...]:
        return (*tree.search, *tree.script_folders)

    def rooted(self, path: str) -> str:
        """Return a path relative to the source folder, as the analysis gives it, relative to the target's root."""
        return (self.target.source.relative_to(self.target.root) / path).as_posix()

    @cached_property
    def catalog(self) -> Catalog | Undeclared:
        """What the specs declare, or why that is unknown."""
        try:
            return read_catalog(self.target, self._probe())
        except Undeclared as undeclared:
            return undeclared

    @property
    def undeclared(self) -> str | None:
        """Why nothing is known of what the specs declare; None where it is known, was not asked, or there are none."""
        found = vars(self).get("catalog")
        return found.judgement.reason if self.target.settings.specs and isinstance(found, Undeclared) else None

    @cached_property
    def environment(self) -> Environment | None:
        """What the target's interpreter has; None when it was not started or does not answer.

        For what is judged on a GPU it is started: which GPU that was belongs in the report.
        """
        if self.probe is None and not self.target.on_gpu:
            return None
        try:
            reply = dict(self._probe().call("environment"))
        except (ProbeFailure, TargetRaised):
            return None
        fields = {key: value for key, value in reply.items() if key in Environment.model_fields}
        try:
            return Environment.model_validate(fields)
        except ValidationError:
            return None

    def _probe(self) -> Probe:
        if self.probe is None:
            self.probe = open_probe(self.target, side_by_side=self.target.workers)
        return self.probe

    def close(self) -> None:
        """End the probe and the forecast, and close the store."""
        self._ahead.close()
        if self._store:
            self._store.close()
        if self.probe:
            self.probe.close()
