"""A tree of files as a target: its root, the files that paths on the command line name, and what they belong to."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from audit.errors import UsageError
from audit.static.discovery import Discovery, SkippedTree, SourceFile, discover
from audit.static.ignoring import PatternFile
from audit.static.notebooks import SUFFIX as NOTEBOOK

_ROOT_MARKERS = ("pyproject.toml", ".git")
INSTALLED = ("site-packages", "dist-packages")
"""Names of folders in which packages of many owners lie side by side."""
_SOURCE_FOLDER = "src"
_INIT = "__init__.py"
_MAX_NAMED = 5


@dataclass(frozen=True)
class TreeFiles:
    """The files of a tree.

    `discovery` has those that are shown and those of the packages they belong to. `shown` are the relative paths that
    the user asked for, None for all. Names that lead out of `discovery` are looked up in `search`, and when a file
    runs also in its folder, which is among the `script_folders`. `ambiguous` are top-level modules of several folders,
    so that only a running program tells which is meant.
    """

    discovery: Discovery
    shown: frozenset[str] | None
    search: tuple[Path, ...]
    script_folders: tuple[Path, ...]
    ambiguous: frozenset[str]


def find_root(paths: Sequence[Path]) -> Path:
    """Return the folder that `paths` belong to: the nearest one around the first that holds a project or repository.

    Where there is none it is the folder that holds all of `paths`, and no part of a package. A project in whose
    virtual environment a package is installed is none of that package's.

    Raises:
        UsageError: a path does not exist.
    """
    places = [_existing(path) for path in paths]
    first = places[0]
    for folder in (first, *first.parents):
        if folder.name in INSTALLED:
            break
        if any((folder / marker).exists() for marker in _ROOT_MARKERS):
            return folder
    common = Path(os.path.commonpath(places))
    folder = common if common.is_dir() else common.parent
    while (folder / _INIT).is_file():
        folder = folder.parent
    return folder


def paths_inside(root: Path, paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return `paths` as absolute paths below `root`, sorted, without those that another one holds.

    Raises:
        UsageError: a path does not exist or is outside the root.
    """
    root = root.resolve()
    return _outermost([_inside(root, path) for path in paths])


def limited_to(root: Path, paths: Sequence[Path]) -> str:
    """Return what a run of `paths` is limited to, in words."""
    names = [os.path.relpath(path, root) for path in paths]
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"limited to {', '.join(names[:_MAX_NAMED])}{more}"


def tree_files(
    root: Path,
    paths: Sequence[Path],
    *,
    exclude: Sequence[str] = (),
    source: str | None = None,
    notebooks: bool = False,
) -> TreeFiles:
    """Find the Python files of `paths` below `root`, none meaning all of it, and of the packages they are in.

    A file of a package is named from the folder that holds the outermost package around it, any other from the root;
    a folder `src`, or the one that is called `source`, counts as a root.

    Raises:
        UsageError: a path, or the root, holds no Python file.
    """
    if not notebooks and (books := [path for path in paths if path.suffix == NOTEBOOK and path.is_file()]):
        raise UsageError(f"{books[0]}: a notebook; pass --notebooks to read it")
    packages = _Packages(root)
    starts = _outermost([packages.top(path) or path for path in paths]) or (root,)
    parts = [discover(root, start, exclude=exclude, notebooks=notebooks) for start in starts if start.is_dir()]
    files = {file.relative: file for part in parts for file in part.files}
    if paths:
        files |= _named_outright(root, [path for path in paths if path.is_file() or path not in starts], files)
    excluded = _excluded(root, files, exclude) if paths else {}
    files = {relative: file for relative, file in files.items() if relative not in excluded}
    if not files:
        raise UsageError(f"{paths[0] if paths else root}: holds no Python file, or `exclude` leaves out those it holds")
    shown = _shown(root, [path for path in paths if _relative(root, path) not in excluded], files) if paths else None
    tops = [folder for folder in (root, root / _SOURCE_FOLDER, root / (source or "")) if folder.is_dir()]
    tops.sort(key=lambda folder: -len(folder.parts))
    by_folder: dict[str, list[SourceFile]] = defaultdict(list)
    for file in files.values():
        by_folder[os.path.dirname(file.path)].append(file)
    named, ambiguous = _with_modules(root, by_folder, packages, tops)
    skipped = [tree for part in parts for tree in part.skipped_trees]
    skipped += [SkippedTree(relative, 1, f"excluded by the pattern {text!r}") for relative, text in excluded.items()]
    trees = {(tree.relative, tree.reason): tree for tree in skipped}
    within = {_relative(root, path) for path in paths}
    alone = [start.parent for start in starts if start.is_file()]
    return TreeFiles(
        discovery=Discovery(
            files=tuple(named[relative] for relative in sorted(named)),
            skipped_trees=tuple(
                tree for (place, _), tree in sorted(trees.items()) if not paths or holders(place, within)
            ),
        ),
        shown=shown,
        search=tuple(dict.fromkeys([*tops, *alone])),
        script_folders=tuple(sorted(folder for folder in map(Path, by_folder) if not packages.top_of(folder))),
        ambiguous=ambiguous,
    )


class _Packages:
    """Which folders are packages, each looked at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tops: dict[Path, Path | None] = {}

    def top(self, path: Path) -> Path | None:
        """Return the outermost of the packages around a file or folder, each directly in the next, if there is one."""
        return self.top_of(path if path.is_dir() else path.parent)

    def top_of(self, folder: Path) -> Path | None:
        """Return the outermost of the packages around a folder and itself."""
        if folder not in self._tops:
            self._tops[folder] = self._look(folder)
        return self._tops[folder]

    def _look(self, folder: Path) -> Path | None:
        if folder == self._root or not (folder / _INIT).is_file():
            return None
        return self.top_of(folder.parent) or folder


def _existing(path: Path) -> Path:
    try:
        absolute = Path(os.path.abspath(path))
        if absolute.exists():
            return absolute
    except (OSError, ValueError):  # too long, a NUL in it; or the current folder is gone
        pass
    raise UsageError(f"{path}: no such file or folder; name what is to be analysed")


def _inside(root: Path, path: Path) -> Path:
    place = _existing(path)
    if not place.is_relative_to(root):
        place = place.parent.resolve() / place.name  # a link is judged where it stands
    if not place.is_relative_to(root):
        place = place.resolve()
    if not place.is_relative_to(root):
        raise UsageError(f"{path}: outside the root {root}; name a folder that holds both by --target")
    if place.is_file() and place.suffix not in (".py", NOTEBOOK):
        raise UsageError(f"{path}: not a Python file; name files that end in .py or .ipynb, or folders of them")
    return place


def _outermost(paths: Sequence[Path]) -> tuple[Path, ...]:
    kept: list[Path] = []
    for path in sorted(set(paths), key=lambda path: path.parts):  # what a folder holds comes directly after it
        if not (kept and path.is_relative_to(kept[-1])):
            kept.append(path)
    return tuple(kept)


def _relative(root: Path, path: Path) -> str:
    """Return the path as discovery writes it: bytes that are no UTF-8 as escapes."""
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _named_outright(root: Path, paths: Sequence[Path], known: Mapping[str, SourceFile]) -> dict[str, SourceFile]:
    """Return the files of `paths` that are not known; an ignore file above a path does not leave it out."""
    found: list[SourceFile] = []
    for path in paths:
        if path.is_file():
            found.append(SourceFile(path=path, relative=_relative(root, path), module=""))
        else:
            found += discover(root, path).files
    return {file.relative: file for file in found if file.relative not in known}


def _excluded(root: Path, files: Iterable[str], exclude: Sequence[str]) -> dict[str, str]:
    """Return the files that the configuration excludes, each with the pattern, however they were named.

    A hook names every changed file, and is not asked to know what is excluded.
    """
    patterns = PatternFile.from_lines(exclude, origin="", folder=root.as_posix())
    decided: dict[str, str | None] = {"": None}

    def pattern_for(relative: str, *, is_folder: bool) -> str | None:
        if relative not in decided:
            above = pattern_for(relative.rpartition("/")[0], is_folder=True)
            own = patterns.last_match(f"{root.as_posix().rstrip('/')}/{relative}", is_folder=is_folder)
            decided[relative] = above or (own.text if own and not own.negated else None)
        return decided[relative]

    found = ((relative, pattern_for(relative, is_folder=False)) for relative in files) if patterns.patterns else ()
    return {relative: text for relative, text in found if text}


def _shown(root: Path, paths: Sequence[Path], files: Mapping[str, SourceFile]) -> frozenset[str]:
    empty = {_relative(root, path): path for path in paths}
    wanted = set(empty)
    shown = set()
    for relative in files:
        around = holders(relative, wanted)
        if around:
            shown.add(relative)
        for text in around:
            empty.pop(text, None)
    for path in empty.values():
        raise UsageError(f"{path}: holds no Python file, or `exclude` leaves out those it holds")
    return frozenset(shown)


def holders(relative: str, wanted: Set[str]) -> list[str]:
    """Return which of `wanted` are the path itself or a folder around it."""
    found = [relative] if relative in wanted else []
    while relative:
        relative = relative.rpartition("/")[0]
        if (relative or ".") in wanted:
            found.append(relative or ".")
    return found


def _with_modules(
    root: Path, by_folder: Mapping[str, Sequence[SourceFile]], packages: _Packages, tops: Sequence[Path]
) -> tuple[dict[str, SourceFile], frozenset[str]]:
    """Name the module of each file; return the names too that top-level modules of several folders have.

    Of several packages of one name only one at the root has that name; the others are named from the root.
    """
    owners: dict[str, set[Path]] = defaultdict(set)
    for folder, files in by_folder.items():
        if top := packages.top_of(Path(folder)):
            owners[top.name].add(top)
        else:
            for file in files:
                owners[file.path.stem].add(file.path)
    ambiguous = frozenset(name for name, places in owners.items() if len(places) > 1)
    named = {}
    for folder, files in by_folder.items():
        place = Path(folder)
        top = packages.top_of(place)
        base = next(each for each in tops if place.is_relative_to(each))
        if top and (top.name not in ambiguous or top.parent in tops):
            base = top.parent
        above = len(base.relative_to(root).parts)
        for file in files:
            module = _module(file.relative.split("/")[above:])
            named[file.relative] = file if file.module == module else replace(file, module=module)
    return named, ambiguous


def _module(parts: Sequence[str]) -> str:
    names = [*parts[:-1], parts[-1].removesuffix(".py")]
    return ".".join(names[:-1] if names[-1] == "__init__" and len(names) > 1 else names)
