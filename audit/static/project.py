"""What surrounds a package in its project: scripts, tests, entry points, weights, data and extensions."""

import os
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from audit.static.artifacts import Artifact, Artifacts, RustExtension, artifacts_of, compiled_files
from audit.static.discovery import discover
from audit.static.facts import FileFacts
from audit.static.file_items import file_items
from audit.static.graph import ProjectGraph
from audit.static.installed import InstalledModules
from audit.static.inventory import Fact, InventoryItem, class_items, sort_key
from audit.static.kinds import InventoryKind
from audit.static.names import FileSummary
from audit.static.reading import sha256
from audit.static.record import FileRecord, record_of
from audit.static.records import Records
from audit.static.scripts import is_test_file
from audit.static.store import FactStore

_MAX_TOML_BYTES = 8 * 1024 * 1024


def project_scripts(project: Path) -> dict[str, str]:
    """Return the commands that `[project.scripts]` declares, each with the `module:function` that it starts."""
    path = project / "pyproject.toml"
    try:
        if not path.is_file() or path.stat().st_size > _MAX_TOML_BYTES:
            return {}
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # whoever needs the settings in it says what is wrong
        return {}
    table = document.get("project")
    found: dict[str, str] = {}
    for key in ("scripts", "gui-scripts"):
        commands = table.get(key) if isinstance(table, dict) else None
        if isinstance(commands, dict):
            found |= {str(name): started for name, started in sorted(commands.items()) if isinstance(started, str)}
    return found


@dataclass(frozen=True)
class Around:
    """What is in a project beside the package: its files of Python, its artifacts, and the commands it declares."""

    project: Path
    records: Records[FileRecord]
    artifacts: Artifacts
    scripts: Mapping[str, str]

    @property
    def modules(self) -> dict[str, str]:
        """The modules that the commands start, by command."""
        return {command: started.partition(":")[0] for command, started in self.scripts.items()}

    @property
    def contents(self) -> Iterator[str]:
        """What is there, as far as the inventory depends on it."""
        for file, digest in zip(self.records.files, self.records.digests, strict=True):
            yield from (file.relative, digest or "")
        yield from (repr(replace(self.artifacts, texts=())), repr(sorted(self.scripts.items())))
        if self.scripts:  # each names the digest of the file that declares it
            yield sha256((self.project / "pyproject.toml").read_bytes())

    def without_tests(self) -> "Around":
        """Return it without the files below folders of tests, or named as tests are."""
        return replace(self, records=self.records.of([f for f in self.records.files if not _is_of_tests(f.relative)]))


def look_around(
    project: Path,
    package: Path,
    *,
    exclude: Sequence[str],
    notebooks: bool = False,
    workers: int = 1,
    store: FactStore | None = None,
) -> Around | None:
    """Return what is in `project` outside `package`, with its weights and data anywhere; paths are the project's.

    Other packages beside the one under audit are not read. None where `project` is a folder of installed packages.
    """
    others = other_packages(project, package)
    if others is None:
        return None
    own = "/".join(map(_escaped, package.relative_to(project).parts))
    left_out = [*(f"/{_escaped(name)}/" for name in others), *([f"/{own}"] if own else [])]
    found = discover(project, project, exclude=[*left_out, *exclude], notebooks=notebooks)
    outside = [file for file in found.files if not file.path.is_relative_to(package)]
    return Around(
        project=project,
        records=Records(outside, record_of, workers=workers, store=store),
        artifacts=artifacts_of(project, left_out=others),
        scripts=project_scripts(project),
    )


def surroundings(
    around: Around, *, installed: InstalledModules, classes: Collection[InventoryItem]
) -> tuple[InventoryItem, ...]:
    """Return the items of what is around a package: classes and attention are listed of the package alone.

    `classes` are those, which scripts may use.
    """
    summaries, facts = around.records.by_path("names"), around.records.by_path("facts")
    artifacts = around.artifacts
    # To this graph the package is one of the installed ones.
    graph = ProjectGraph(summaries, around.records.files, installed=installed)
    own = class_items(graph, summaries)
    items = [*file_items(graph, facts, summaries, classes=[*classes, *own], scripts=around.modules)]
    items += [_script(around.project, command, started) for command, started in around.scripts.items()]
    items += [_artifact(file) for file in artifacts.files]
    items += [_rust(crate) for crate in artifacts.rust]
    items += [item for path, summary in summaries.items() for item in _builds(summary, facts[path], artifacts)]
    return tuple(sorted(items, key=sort_key))


def other_packages(project: Path, package: Path) -> list[str] | None:
    """Return the top folders that are other packages; None where `project` is a folder of installed packages."""
    try:
        entries = [entry.name for entry in os.scandir(project)]
    except OSError:
        return None
    if any(name.endswith((".dist-info", ".egg-info")) and name != f"{package.name}.egg-info" for name in entries):
        return None
    if package == project:  # a tree, of which everything is under audit
        return []
    own = package.relative_to(project).parts[:1]
    packages = [name for name in sorted(entries) if (project / name / "__init__.py").is_file()]
    return [name for name in packages if name not in own and not name.startswith("test")]


def _is_of_tests(path: str) -> bool:
    folders = path.split("/")[:-1]
    return is_test_file(path) or any(name in ("test", "tests", "testing") for name in folders)


def _escaped(name: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?[]\\ !#" else sign for sign in name)


def _script(project: Path, command: str, started: str) -> InventoryItem:
    content = (project / "pyproject.toml").read_bytes()
    module = started.partition(":")[0]
    return _item(
        InventoryKind.ENTRY_POINT,
        "pyproject.toml",
        command,
        {"by": "project.scripts", "starts": started},
        sha256(content),
        module,
    )


def _artifact(file: Artifact) -> InventoryItem:
    facts: dict[str, Fact] = {"size_bytes": file.size_bytes, "content": str(file.content)}
    if file.declared_bytes is not None:
        facts["declared_bytes"] = file.declared_bytes
    kind = InventoryKind.CHECKPOINT if file.is_checkpoint else InventoryKind.DATA_FILE
    return _item(kind, file.path, PurePosixPath(file.path).name, facts)


def _rust(crate: RustExtension) -> InventoryItem:
    facts: dict[str, Fact] = {"language": "rust", "present": bool(crate.compiled), "compiled": crate.compiled}
    return _item(InventoryKind.EXTENSION, crate.path, crate.name, facts)


def _builds(file: FileSummary, facts: FileFacts, artifacts: Artifacts) -> Iterator[InventoryItem]:
    for build in facts.builds:
        compiled = compiled_files(build.name, artifacts.compiled)
        language = "rust" if "Rust" in build.by else "cuda" if "CUDA" in build.by else "c++"
        told: dict[str, Fact] = {"language": language, "present": bool(compiled), "compiled": compiled, "by": build.by}
        yield _item(InventoryKind.EXTENSION, file.path, build.name, told, file.digest, file.module, line=build.line)


def _item(
    kind: InventoryKind,
    path: str,
    qualname: str,
    facts: dict[str, Fact],
    digest: str = "",
    module: str = "",
    *,
    line: int = 1,
) -> InventoryItem:
    return InventoryItem(
        kind=kind,
        module=module,
        qualname=qualname,
        path=path,
        line=line,
        bases=(),
        resolved=True,
        digest=digest,
        facts=facts,
    )
