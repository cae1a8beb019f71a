"""Files of a project that are no Python: weights, data, sources of compiled extensions; and what is wrong with them."""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audit.static.discovery import ENVIRONMENT_MARKERS, SKIPPED_NAMES
from audit.static.ignoring import IgnoreRules
from audit.static.kinds import Content

_CHECKPOINTS = frozenset({".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".gguf"})
_CHECKPOINT_NAME = re.compile(r"^(pytorch_model|adapter_model|model)\b.*\.bin$")
_DATA = frozenset(
    {".csv", ".tsv", ".jsonl", ".parquet", ".feather", ".arrow", ".npy", ".npz", ".h5", ".hdf5", ".nc", ".fits", ".pkl"}
)
_DATA_FOLDERS = frozenset({"data", "dataset", "datasets"})  # a JSON file elsewhere is settings, not data
_TEXTS = frozenset(
    {".md", ".markdown", ".rst", ".txt", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".env"}
    | {".sh", ".bash", ".zsh", ".pem", ".key", ".ipynb", ".xml", ".properties", ".csv", ".tsv", ".log", ".py", ".html"}
)
_TEXT_NAME = re.compile(r"^(\.env(\..+)?|\.netrc|\.pypirc|\.npmrc|Dockerfile.*|Makefile|README.*)$")
_COMPILED = (".so", ".pyd", ".dylib")
_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_SIZE = re.compile(rb"^size (\d+)$", re.MULTILINE)
_HTML = re.compile(rb"^\s*(<!doctype html|<html|<\?xml[^>]*>\s*<(!doctype html|html|error))", re.IGNORECASE)
_ERROR_SAYS = frozenset({"error", "errors", "message", "detail"})
_ERROR_KEYS = frozenset({"error", "errors", "message", "detail", "status", "code", "statusCode", "path", "timestamp"})
_HEAD_BYTES = 1024  # a git-LFS pointer is smaller by its specification
_MAX_ERROR_BYTES = 64 * 1024  # of a message in JSON; what is larger is taken for data
_MAX_TOML_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of weights or data. `path` is relative to the project; `declared_bytes` is what a pointer stands for."""

    path: str
    is_checkpoint: bool
    size_bytes: int
    content: Content
    declared_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RustExtension:
    """A crate that builds a Python module. `compiled` are the files found that could be it, relative to the project."""

    path: str
    name: str
    compiled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Artifacts:
    """What the walk over a project found, each sorted by path.

    `texts` are the documents, settings, scripts and tables that version control would take, links left out.
    """

    files: tuple[Artifact, ...]
    rust: tuple[RustExtension, ...]
    compiled: tuple[str, ...]
    texts: tuple[str, ...] = ()


def artifacts_of(project: Path, *, left_out: Sequence[str] = ()) -> Artifacts:
    """Return the artifacts below `project`. Ignore files do not count: weights and data are what they usually name.

    Environments, caches and version control are left out, and the top folders named by `left_out`.
    """
    paths = sorted(paths_below(project, frozenset(left_out)))
    compiled = tuple(path for path in paths if path.endswith(_COMPILED))
    files = [_artifact(project, path) for path in paths if _is_checkpoint(path) or _may_be_data(path)]
    crates = [_crate(project, path) for path in paths if _name(path) == "Cargo.toml"]
    return Artifacts(
        files=tuple(file for file in files if file and _is_listed(file)),
        rust=tuple(RustExtension(*crate, compiled_files(crate[1], compiled)) for crate in crates if crate),
        compiled=compiled,
        texts=tuple(not_ignored(project, [path for path in paths if _is_text(path)])),
    )


def compiled_files(module: str, compiled: Sequence[str]) -> tuple[str, ...]:
    """Return which of the files are the extension `module`: its name, then perhaps a tag of the platform."""
    name = module.rpartition(".")[2]
    return tuple(path for path in compiled if name and PurePosixPath(path).name.partition(".")[0] == name)


def paths_below(project: Path, left_out: frozenset[str]) -> Iterator[str]:
    """Yield the files below `project` but for environments, caches, version control and the top folders `left_out`."""
    top = os.fspath(project)
    for folder, folders, files in os.walk(top):
        is_top = folder == top
        if not is_top and ENVIRONMENT_MARKERS.keys() & {*files, *folders}:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name not in SKIPPED_NAMES and not (is_top and name in left_out))
        prefix = "" if is_top else os.path.relpath(folder, top).replace(os.sep, "/") + "/"
        for name in files:
            yield prefix + name


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _suffix(path: str) -> str:
    """Return the end of a name from its last dot in small letters; nothing where the only dot is the first letter."""
    stem, dot, suffix = _name(path).rpartition(".")
    return f".{suffix}".lower() if stem and dot and suffix else ""


def _is_checkpoint(path: str) -> bool:
    return _suffix(path) in _CHECKPOINTS or bool(_CHECKPOINT_NAME.match(_name(path)))


def _is_text(path: str) -> bool:
    return _suffix(path) in _TEXTS or bool(_TEXT_NAME.match(_name(path)))


def not_ignored(project: Path, paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths below `project` that no `.gitignore` in it leaves out."""
    rules = {"": IgnoreRules().extended(project)}
    left_out: set[str] = set()

    def is_left_out(path: str, *, is_folder: bool) -> bool:
        folder = path.rpartition("/")[0]
        if folder not in rules:
            if is_left_out(folder, is_folder=True):
                left_out.add(folder)
            rules[folder] = rules[folder.rpartition("/")[0]].extended(project / folder)
        if folder in left_out:
            return True
        return bool(rules[folder].ignores(f"{project.as_posix()}/{path}", is_folder=is_folder))

    for path in paths:
        if not is_left_out(path, is_folder=False):
            yield path


def _may_be_data(path: str) -> bool:
    return _suffix(path) in _DATA or path.lower().endswith(".json")


def _is_listed(file: Artifact) -> bool:
    if not file.path.lower().endswith(".json"):
        return True
    return file.content is not Content.PLAIN or bool(_DATA_FOLDERS & {*PurePosixPath(file.path.lower()).parts[:-1]})


def _artifact(project: Path, path: str) -> Artifact | None:
    place = project / path
    try:
        if not place.is_file():  # a pipe or a device, which has no end
            return None
        size = place.stat().st_size
        with place.open("rb") as opened:
            head = opened.read(_HEAD_BYTES)
            whole = head + opened.read(_MAX_ERROR_BYTES) if _may_be_error(path, head, size) else b""
    except OSError:
        return Artifact(path, _is_checkpoint(path), 0, Content.UNREADABLE)
    declared = _LFS_SIZE.search(head) if head.startswith(_LFS) else None
    content = Content.ERROR if _is_error(whole) else _content(head)
    return Artifact(path, _is_checkpoint(path), size, content, int(declared.group(1)) if declared else None)


def _may_be_error(path: str, head: bytes, size: int) -> bool:
    """Return whether a file could be a message in JSON: a small object, or a list of one, where none is expected."""
    is_settings = path.lower().endswith(".json") and not _DATA_FOLDERS & {*PurePosixPath(path.lower()).parts[:-1]}
    return head.lstrip().startswith(b"{") and size <= _MAX_ERROR_BYTES and not is_settings


def _is_error(content: bytes) -> bool:
    """Return whether the content is a JSON object of nothing but what a server says of a failure."""
    try:
        found = json.loads(content) if content else None
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and bool(_ERROR_SAYS & found.keys()) and found.keys() <= _ERROR_KEYS


def _content(head: bytes) -> Content:
    if not head.strip():
        return Content.EMPTY
    if head.startswith(_LFS):
        return Content.POINTER
    return Content.HTML if _HTML.match(head) else Content.PLAIN


def _crate(project: Path, path: str) -> tuple[str, str] | None:
    """Return path and module name of a crate that depends on PyO3; None for any other and for a broken file."""
    place = project / path
    try:
        if not place.is_file() or place.stat().st_size > _MAX_TOML_BYTES:
            return None
        document = tomllib.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # ValueError: not UTF-8, not TOML
        return None
    dependencies, library, package = (document.get(key) for key in ("dependencies", "lib", "package"))
    if not isinstance(dependencies, dict) or "pyo3" not in dependencies:
        return None
    names = [table.get("name") for table in (library, package) if isinstance(table, dict)]
    name = next((name for name in names if isinstance(name, str)), "")
    return path, name.replace("-", "_")
