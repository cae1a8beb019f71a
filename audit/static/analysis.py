"""All stages in a row: from a folder to its inventory."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from audit.static.collect import analyse_files, without_collector
from audit.static.definitions import Definition, find_function
from audit.static.discovery import SkippedTree, SourceFile, discover
from audit.static.file_items import attention_items, file_items
from audit.static.graph import ProjectGraph
from audit.static.installed import InstalledModules
from audit.static.inventory import InventoryItem, InventoryKind, class_items
from audit.static.names import ClassSummary, FileSummary
from audit.static.project import project_scripts, surroundings
from audit.static.reading import UnreadableFile
from audit.static.store import FactStore
from audit.static.summary import summary_of


@dataclass(frozen=True)
class StaticAnalysis:
    """What the source of a target says. Two analyses of one tree at one place are equal.

    `files` are all files found; each is either among the `summaries` or `unreadable`. `surroundings` are what the
    project has outside of them, with paths relative to the project.
    """

    files: tuple[SourceFile, ...]
    summaries: tuple[FileSummary, ...]
    unreadable: tuple[UnreadableFile, ...]
    skipped_trees: tuple[SkippedTree, ...]
    inventory: tuple[InventoryItem, ...]
    surroundings: tuple[InventoryItem, ...] = ()

    @property
    def models(self) -> tuple[InventoryItem, ...]:
        """The classes whose bases lead to `torch.nn.Module`."""
        return tuple(item for item in self.inventory if item.kind is InventoryKind.MODEL)

    @cached_property
    def file_digests(self) -> Mapping[str, str | None]:
        """The SHA-256 of every file's content by relative path, sorted; None where no content could be read."""
        digests = {file.path: file.digest for file in self.summaries} | {
            file.path: file.digest for file in self.unreadable
        }
        return dict(sorted(digests.items()))

    @cached_property
    def digest(self) -> str:
        """The digest of the target's content: over the sorted relative paths and the digests of their files."""
        total = hashlib.sha256()
        for path, digest in self.file_digests.items():
            total.update(f"{path}\0{digest or 'unreadable'}\n".encode())
        return f"sha256:{total.hexdigest()}"

    def find_definition(self, module: str, qualname: str) -> Definition | None:
        """Return where a class or function of this name is defined, with the digest of its source, or None.

        Reads the file again: only the few names that specs declare are looked up.
        """
        if found := self.find_class(module, qualname):
            return Definition(path=found.path, line=found.line, digest=found.digest)
        file = next((file for file in self.files if file.module == module), None)
        return find_function(file, qualname) if file else None

    def find_class(self, module: str, qualname: str) -> InventoryItem | ClassSummary | None:
        """Return the class of this name: its inventory item, else its summary; None where there is no such class.

        Of several definitions of one name a model comes before one that is not decided, and the last comes first.
        """
        kinds = (InventoryKind.MODEL, InventoryKind.UNRESOLVED)
        items = [
            item for item in self.inventory if item.kind in kinds and (item.module, item.qualname) == (module, qualname)
        ]
        if items:
            return max(items, key=lambda item: (item.resolved, item.line))
        classes = [found for file in self.summaries if file.module == module for found in file.classes]
        return next((found for found in reversed(classes) if found.qualname == qualname), None)


def analyse(
    root: Path,
    start: Path,
    *,
    exclude: Sequence[str] = (),
    notebooks: bool = False,
    installed: Sequence[Path] = (),
    project: Path | None = None,
    workers: int = 1,
    store: FactStore | None = None,
) -> StaticAnalysis:
    """Return what the Python files of `start` say; `root`, `start`, `exclude` and `notebooks` are those of
    `discover`.

    Files are read by up to `workers` processes, except those of which `store` knows the summary already. Bases that
    leave the target are followed into the sources of `root` and of the folders `installed`. Of a `project` the scripts,
    tests, weights and data around the package are listed too. The target is neither imported nor run. Raises what
    `discover` raises; a file that cannot be read is listed.
    """
    with without_collector():
        discovery = discover(root, start, exclude=exclude, notebooks=notebooks)
        results = analyse_files(discovery.files, summary_of, workers=workers, store=store)
        summaries = tuple(result for result in results if isinstance(result, FileSummary))
        installed_modules = InstalledModules([root, *installed])
        graph = ProjectGraph(summaries, installed=installed_modules)
        classes = class_items(graph)
        scripts = {
            name: started.partition(":")[0] for name, started in (project_scripts(project) if project else {}).items()
        }
        others = (*attention_items(graph), *file_items(graph, summaries, classes=classes, scripts=scripts))
        items = sorted((*classes, *others), key=lambda item: (item.path, item.line, item.qualname, item.kind))
        return StaticAnalysis(
            files=discovery.files,
            summaries=summaries,
            unreadable=tuple(result for result in results if isinstance(result, UnreadableFile)),
            skipped_trees=discovery.skipped_trees,
            inventory=tuple(items),
            surroundings=surroundings(
                project, start, exclude=exclude, installed=installed_modules, classes=classes, notebooks=notebooks
            )
            if project
            else (),
        )
