"""All stages in a row: from a folder to its inventory."""

import hashlib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

from pydantic import TypeAdapter

from audit.static.conclusions import Form, concluded
from audit.static.definitions import Definition, find_function
from audit.static.discovery import Discovery, SkippedTree, SourceFile, discover
from audit.static.findings import Judged
from audit.static.installed import InstalledModules
from audit.static.inventory import InventoryItem, InventoryKind
from audit.static.judging import judged_files
from audit.static.names import ClassSummary, FileSummary
from audit.static.per_file import file_state
from audit.static.project import Around, look_around, project_scripts, surroundings
from audit.static.reading import UnreadableFile, read, sha256
from audit.static.record import FileRecord, record_of
from audit.static.records import Records, without_collector
from audit.static.store import FactStore
from audit.static.whole_inventory import whole_inventory


@dataclass(frozen=True)
class StaticAnalysis:
    """What the source of a target says. Two analyses of one tree at one place are equal.

    `files` are all files found, and `texts` the documents, settings and tables of the project around them, with paths
    relative to the project. `file_digests` are the SHA-256 of every file's content by
    relative path, sorted; None where no content could be read.
    """

    files: tuple[SourceFile, ...]
    unreadable: tuple[UnreadableFile, ...]
    skipped_trees: tuple[SkippedTree, ...]
    inventory: tuple[InventoryItem, ...]
    file_digests: Mapping[str, str | None]
    records: Records[FileRecord] = field(compare=False, repr=False)
    texts: tuple[str, ...] = ()
    workers: int = field(default=1, compare=False)
    store: FactStore | None = field(default=None, compare=False, repr=False)
    # What all of it was concluded from.
    given: Callable[[], tuple[str, ...]] = field(default=tuple, compare=False, repr=False)
    # What the project has outside of `files`; without its tests where these are not asked for.
    outside: Callable[[bool], tuple[InventoryItem, ...]] = field(default=lambda tests: (), compare=False, repr=False)

    @cached_property
    def surroundings(self) -> tuple[InventoryItem, ...]:
        """What the project has outside of the package, paths relative to the project; read when it is asked for."""
        with without_collector():
            return self.outside(True)

    @cached_property
    def surroundings_without_tests(self) -> tuple[InventoryItem, ...]:
        """What the project has outside of the package and of its tests: of most projects these are nearly all of it."""
        with without_collector():
            return self.outside(False)

    @cached_property
    def summaries(self) -> tuple[FileSummary, ...]:
        """What each readable file binds, imports and defines."""
        return tuple(self.records.by_path("names").values())

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

    def of_files(self, paths: Set[str]) -> "StaticAnalysis":
        """Return what the files at these relative paths say, judged with all the others known."""
        return replace(
            self,
            files=tuple(file for file in self.files if file.relative in paths),
            unreadable=tuple(file for file in self.unreadable if file.path in paths),
            inventory=tuple(item for item in self.inventory if item.path in paths),
            file_digests={path: digest for path, digest in self.file_digests.items() if path in paths},
            outside=lambda tests: (),
        )

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
    exclude_from: Path | None = None,
    notebooks: bool = False,
    installed: Sequence[Path] = (),
    project: Path | None = None,
    workers: int = 1,
    store: FactStore | None = None,
    found: Discovery | None = None,
    with_surroundings: bool = True,
    when_read: Callable[[StaticAnalysis], None] = lambda read: None,
) -> StaticAnalysis:
    """Return what the Python files of `start` say; `root`, `start`, `exclude` and `notebooks` are those of
    `discover`.

    Files are read by up to `workers` processes, except those of which `store` knows the summary already. Bases that
    leave the target are followed into the sources of `root` and of the folders `installed`. Of a `project` the scripts,
    tests, weights and data around the package are listed too, unless `with_surroundings` is false. The target is
    neither imported nor run. `found` are the files where they have been found already. Where all of it is to be made
    anew, `when_read` is called when the files are read, with what is known then: all but the inventory. Raises what
    `discover` raises; a file that cannot be read is listed.
    """
    with without_collector():
        discovery = found or discover(
            root, start, exclude=exclude, exclude_from=exclude_from or project, notebooks=notebooks
        )
        records = Records(discovery.files, record_of, workers=workers, store=store)
        around = (
            look_around(project, start, exclude=exclude, notebooks=notebooks, workers=workers, store=store)
            if project and with_surroundings
            else None
        )
        scripts = around.modules if around else _started_modules(project)
        folders = [root, *installed]
        setting = [*map(str, folders), str(project), *(file.module for file in records.files)]

        def given(place: Around | None) -> tuple[str, ...]:
            held = tuple(_contents(records).items())
            return (*setting, repr(sorted(scripts.items())), _digest(held), *(place.contents if place else ()))

        def known(unreadable: tuple[UnreadableFile, ...]) -> StaticAnalysis:
            digests = {file.relative: digest for file, digest in zip(discovery.files, records.digests, strict=True)}
            return StaticAnalysis(
                files=discovery.files,
                unreadable=unreadable,
                skipped_trees=discovery.skipped_trees,
                inventory=(),
                file_digests=dict(sorted(digests.items())),
                records=records,
                texts=around.artifacts.texts if around else (),
                workers=workers,
                store=store,
                given=lambda: (*given(around), *map(repr, unreadable)),
            )

        inventory = whole_inventory(
            records,
            _contents,
            installed=InstalledModules(folders, store=store),
            scripts=scripts,
            setting=setting,
            store=store,
            when_new=lambda: when_read(known(records.unreadable)),
        )

        def outside(tests: bool) -> tuple[InventoryItem, ...]:
            if around is None:
                return ()
            place = around if tests else around.without_tests()
            seen = InstalledModules(folders, store=store)
            return concluded(
                _SURROUNDINGS,
                lambda: given(place),
                lambda: surroundings(place, installed=seen, classes=inventory.items),
                witnesses=lambda: sorted(seen.consulted),
                store=store,
            )

        return replace(known(inventory.unreadable), inventory=inventory.items, outside=outside)


def _started_modules(project: Path | None) -> dict[str, str]:
    """Return the modules that a project's commands start, by command; none without a project."""
    scripts = project_scripts(project) if project else {}
    return {command: started.partition(":")[0] for command, started in scripts.items()}


@lru_cache(maxsize=2)
def _digest(contents: tuple[tuple[str, str], ...]) -> str:
    """Return a digest of `contents`, which several conclusions are made of."""
    return sha256("\0".join(part for each in contents for part in each).encode("utf-8", "surrogateescape"))


def _contents(records: Records[FileRecord]) -> dict[str, str]:
    """Return by path what the files hold, as far as the analysis depends on it: of those without content, why."""
    return {
        file.relative: digest or f"{file_state(file.path)} {read(file)!r}"
        for file, digest in zip(records.files, records.digests, strict=True)
    }


_ITEMS = TypeAdapter(tuple[InventoryItem, ...])
_SURROUNDINGS = Form("surroundings", lambda items: _ITEMS.dump_json(items).decode(), _ITEMS.validate_json)
