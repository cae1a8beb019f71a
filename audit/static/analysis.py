"""All stages in a row: from a folder to its inventory."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from audit.static.definitions import Definition, find_function
from audit.static.discovery import SkippedTree, SourceFile, discover
from audit.static.file_items import attention_items, file_items
from audit.static.findings import Judged
from audit.static.graph import ProjectGraph
from audit.static.imports.program import Program
from audit.static.installed import InstalledModules
from audit.static.inventory import InventoryItem, InventoryKind, class_items
from audit.static.judging import judged_files
from audit.static.names import ClassSummary, FileSummary
from audit.static.project import project_scripts, surroundings
from audit.static.reading import UnreadableFile
from audit.static.record import FileRecord, record_of
from audit.static.records import Records, without_collector
from audit.static.store import FactStore


@dataclass(frozen=True)
class StaticAnalysis:
    """What the source of a target says. Two analyses of one tree at one place are equal.

    `files` are all files found. `surroundings` are what the project has outside of them, with paths relative to the
    project. `file_digests` are the SHA-256 of every file's content by relative path, sorted; None where no content
    could be read.
    """

    files: tuple[SourceFile, ...]
    unreadable: tuple[UnreadableFile, ...]
    skipped_trees: tuple[SkippedTree, ...]
    inventory: tuple[InventoryItem, ...]
    file_digests: Mapping[str, str | None]
    records: Records[FileRecord] = field(compare=False, repr=False)
    surroundings: tuple[InventoryItem, ...] = ()
    workers: int = field(default=1, compare=False)
    store: FactStore | None = field(default=None, compare=False, repr=False)

    @cached_property
    def readable(self) -> frozenset[str]:
        """The relative paths of the files that have a syntax tree."""
        return frozenset(file.relative for file in self.files) - {file.path for file in self.unreadable}

    @cached_property
    def summaries(self) -> tuple[FileSummary, ...]:
        """What each readable file binds, imports and defines."""
        return tuple(self.records.by_path("names").values())

    @property
    def programs(self) -> Mapping[str, Program]:
        """What importing each readable file does, by path; read anew each time, for they are large."""
        return self.records.by_path("program")

    @cached_property
    def judged(self) -> Mapping[str, Judged]:
        """What all rules find in each readable file, by path."""
        return judged_files(self.records, self.inventory, workers=self.workers, store=self.store)

    @property
    def models(self) -> tuple[InventoryItem, ...]:
        """The classes whose bases lead to `torch.nn.Module`."""
        return tuple(item for item in self.inventory if item.kind is InventoryKind.MODEL)

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
    installed: Sequence[Path] = (),
    project: Path | None = None,
    workers: int = 1,
    store: FactStore | None = None,
) -> StaticAnalysis:
    """Return what the Python files of `start` say; `root`, `start` and `exclude` are those of `discover`.

    Files are read by up to `workers` processes, except those of which `store` knows the summary already. Bases that
    leave the target are followed into the sources of `root` and of the folders `installed`. Of a `project` the scripts,
    tests, weights and data around the package are listed too. The target is neither imported nor run. Raises what
    `discover` raises; a file that cannot be read is listed.
    """
    with without_collector():
        discovery = discover(root, start, exclude=exclude)
        records = Records(discovery.files, record_of, workers=workers, store=store)
        installed_modules = InstalledModules([root, *installed])
        graph = ProjectGraph(records.by_path("names").values(), installed=installed_modules)
        facts = records.by_path("facts")
        classes = class_items(graph)
        scripts = {
            name: started.partition(":")[0] for name, started in (project_scripts(project) if project else {}).items()
        }
        others = (*attention_items(graph, facts), *file_items(graph, facts, classes=classes, scripts=scripts))
        items = sorted((*classes, *others), key=lambda item: (item.path, item.line, item.qualname, item.kind))
        digests = {file.relative: records.digests.get(position) for position, file in enumerate(discovery.files)}
        return StaticAnalysis(
            files=discovery.files,
            unreadable=tuple(file for _, file in sorted(records.unreadable.items())),
            skipped_trees=discovery.skipped_trees,
            inventory=tuple(items),
            file_digests=dict(sorted(digests.items())),
            records=records,
            surroundings=surroundings(
                project, start, exclude=exclude, installed=installed_modules, classes=classes, store=store
            )
            if project
            else (),
            workers=workers,
            store=store,
        )
