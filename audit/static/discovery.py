"""Stage 1: which Python files of a tree belong to the target, and what was left out and why."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audit.static.ignoring import IGNORE_FILE, IgnorePattern, IgnoreRules, PatternFile
from audit.static.notebooks import SUFFIX as NOTEBOOK
from audit.static.sources import SourceFile as SourceFile

SKIPPED_NAMES = {
    ".git": "version control data",
    ".hg": "version control data",
    ".svn": "version control data",
    "__pycache__": "bytecode cache",
    ".tox": "environments of tox",
    ".nox": "environments of nox",
    ".eggs": "packages fetched by setuptools",
    ".mypy_cache": "cache of mypy",
    ".pytest_cache": "cache of pytest",
    ".ruff_cache": "cache of ruff",
    ".ipynb_checkpoints": "copies made by Jupyter",
    "node_modules": "packages fetched by npm",
    "site-packages": "installed packages",
    "dist-packages": "installed packages",
    "_vendor": "vendored copy of other packages",
    "vendor": "vendored copy of other packages",
    "third_party": "vendored copy of other packages",
}
BUILD_OUTPUT_NAMES = frozenset({"build", "dist"})
ENVIRONMENT_MARKERS = {"pyvenv.cfg": "virtual environment", "conda-meta": "conda environment"}


@dataclass(frozen=True, slots=True)
class SkippedTree:
    """A folder, or a file that a pattern names, which was not read.

    `python_files` is the number of `.py` files in it; None where they were not counted, because the folder could
    not be read or is a symbolic link that was not followed.
    """

    relative: str
    python_files: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """Files to read, and trees left out; both sorted by path. A tree that holds no `.py` file is not listed."""

    files: tuple[SourceFile, ...]
    skipped_trees: tuple[SkippedTree, ...]


def discover(
    root: Path,
    start: Path,
    *,
    exclude: Sequence[str] = (),
    exclude_from: Path | None = None,
    notebooks: bool = False,
) -> Discovery:
    """Return the Python files below `start`, with module names as seen from `root`.

    `root` is the folder that has to be on `sys.path` for the target to be imported. `start` is a folder or file in
    it and is itself never left out by its name or by a `.gitignore`: where git ignores it, only the ignore files
    inside it apply. `exclude` holds patterns of the `.gitignore` syntax, relative to `exclude_from` or else to `root`;
    they win over any ignore file. Ignore files count from the top of the git repository around `root` downwards;
    `.git/info/exclude` and a user's global ignore file do not, so that a tree gives one answer on every machine. With
    `notebooks`, files that end in `.ipynb` are listed too, with a module name that no import can name.

    Symbolic links to files are read. Links to folders are followed where they lead to a folder of `root` outside
    `start`, once each; any other is listed as left out.

    Raises `FileNotFoundError` where `start` does not exist, and `ValueError` where it is not inside `root`.
    """
    root, start = _absolute(root, start)
    if not start.exists():
        raise FileNotFoundError(f"{start} does not exist")
    rules = _rules_above(root, start)
    if start.is_file():
        return Discovery(files=(_source_file(start, root),), skipped_trees=())
    base = Path(os.path.abspath(exclude_from)) if exclude_from else root
    excluded = PatternFile.from_lines(exclude, origin="", folder=base.as_posix())
    walk = _Walk(root=root, start=start, exclude=excluded, suffixes=(".py", NOTEBOOK) if notebooks else (".py",))
    walk.run(rules)
    return Discovery(
        files=tuple(sorted(walk.files, key=lambda file: file.relative)),
        skipped_trees=tuple(sorted(walk.skipped, key=lambda tree: (tree.relative, tree.reason))),
    )


def _absolute(root: Path, start: Path) -> tuple[Path, Path]:
    """Return both as absolute paths; links are resolved only where `start` is not inside `root` as written."""
    root, start = Path(os.path.abspath(root)), Path(os.path.abspath(start))
    if not start.is_relative_to(root):
        root, start = root.resolve(), start.resolve()
    if not start.is_relative_to(root):
        raise ValueError(f"{start} is not inside the root {root}")
    return root, start


def _rules_above(root: Path, start: Path) -> IgnoreRules:
    """Return the ignore files from the repository's top down to the folder above `start`."""
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    rules = IgnoreRules()
    folder = top
    for part in start.relative_to(top).parts:
        rules = rules.extended(folder)
        folder = folder / part
        if rules.ignores(folder.as_posix(), is_folder=folder.is_dir()):
            rules = IgnoreRules()
    return rules


def _printable(text: str) -> str:
    """Return `text` with bytes that are no UTF-8 written as escapes, so that every report can carry it."""
    if text.isascii():
        return text
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _source_file(path: Path, root: Path) -> SourceFile:
    return _named(path, path.relative_to(root).as_posix())


def _named(path: Path, below_root: str) -> SourceFile:
    """Return the file at `path`, which is written so below the root, with slashes."""
    relative = _printable(below_root)
    if relative.endswith(NOTEBOOK):
        folder = PurePosixPath(relative).parent.parts
        return SourceFile(path=path, relative=relative, module=".".join((*folder, path.name.replace(".", "_"))))
    *parts, name = relative.split("/")
    parts.append(name[:-3] if name.endswith(".py") and name != ".py" else PurePosixPath(name).stem)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    return SourceFile(path=path, relative=relative, module=".".join(parts))


def _is_module(entry: os.DirEntry[str], suffixes: tuple[str, ...]) -> bool:
    """Whether the entry is read as a source file; a pipe or a broken link is too, and reading it says what it is."""
    return entry.name.endswith(suffixes) and not _is_folder(entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of symbolic links
        return False


def _count_python_files(folder: str) -> int:
    """Return the number of `.py` files in readable folders below; links are not followed."""
    count, pending = 0, [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        count += entry.name.endswith(".py")
        except OSError:
            continue
    return count


class _Walk:
    """One pass over the tree: folders first, then the links to folders that were put aside."""

    def __init__(self, *, root: Path, start: Path, exclude: PatternFile, suffixes: tuple[str, ...]) -> None:
        self.files: list[SourceFile] = []
        self.skipped: list[SkippedTree] = []
        self._root = root
        self._above = len(f"{root.as_posix().rstrip('/')}/")  # letters of a path before what it is below the root
        self._start = start
        self._suffixes = suffixes
        self._exclude = exclude
        self._links: list[tuple[Path, IgnoreRules]] = []
        self._followed: set[Path] = set()

    def run(self, rules: IgnoreRules) -> None:
        """Read `start`, then every link met on the way, in the order of their paths."""
        self._read_tree(self._start, rules)
        while self._links:
            self._links.sort(key=lambda pair: pair[0].as_posix(), reverse=True)
            self._follow(*self._links.pop())

    def _read_tree(self, top: Path, rules: IgnoreRules) -> None:
        pending = [(top, rules)]
        while pending:
            folder, rules = pending.pop()
            pending.extend(self._read_folder(folder, rules))

    def _read_folder(self, folder: Path, rules: IgnoreRules) -> Iterator[tuple[Path, IgnoreRules]]:
        """Record the files of `folder`; yield the folders below it that are to be read."""
        try:
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            self._skip(folder, reason=f"cannot be read: {error.strerror}", count=False)
            return
        reason = self._reason_to_skip(folder, {entry.name for entry in entries})
        if reason:
            self._skip(folder, reason=reason)
            return
        if any(entry.name == IGNORE_FILE for entry in entries):
            rules = rules.extended(folder)
        for entry in entries:
            is_module, is_folder = _is_module(entry, self._suffixes), _is_folder(entry)
            if not (is_module or is_folder):
                continue
            path = Path(entry.path)
            ignored = self._ignored(entry.path, rules, is_folder=is_folder and not entry.is_symlink())
            if ignored:
                self._skip(path, reason=ignored, count=not entry.is_symlink(), is_module=is_module)
            elif is_module:
                self.files.append(_named(path, entry.path[self._above :]))
            elif entry.is_symlink():
                self._links.append((path, rules))
            else:
                yield path, rules

    def _reason_to_skip(self, folder: Path, names: set[str]) -> str | None:
        """Return why a folder with these entries is left out by what it is; None for `start` and for sources."""
        if folder == self._start:
            return None
        for marker, reason in ENVIRONMENT_MARKERS.items():
            if marker in names:
                return f"{reason} (it has {marker})"
        if folder.name in SKIPPED_NAMES:
            return f"{SKIPPED_NAMES[folder.name]} (named {folder.name})"
        if folder.name in BUILD_OUTPUT_NAMES and "__init__.py" not in names:
            return f"build output (named {folder.name}, without __init__.py)"
        return None

    def _ignored(self, path: str, rules: IgnoreRules, *, is_folder: bool) -> str | None:
        """Return the reason where a pattern leaves `path` out; an exclude pattern that matches wins, kept or not."""
        excluded = self._exclude.last_match(path, is_folder=is_folder)
        if excluded:
            return None if excluded.negated else f"excluded by the pattern {_printable(excluded.text)!r}"
        found = rules.ignores(path, is_folder=is_folder)
        return self._reason_of(*found) if found else None

    def _reason_of(self, file: PatternFile, pattern: IgnorePattern) -> str:
        origin = os.path.relpath(file.origin, self._root)
        return _printable(f"ignored by {origin}, line {pattern.line}: {pattern.text}")

    def _skip(self, path: Path, *, reason: str, count: bool = True, is_module: bool = False) -> None:
        number = None if not count else 1 if is_module else _count_python_files(str(path))
        if number == 0:
            return
        relative = _printable(path.relative_to(self._root).as_posix())
        self.skipped.append(SkippedTree(relative=relative, python_files=number, reason=reason))

    def _follow(self, link: Path, rules: IgnoreRules) -> None:
        """Read the folder behind `link` where it is in the root, outside `start`, and was not read before."""
        target = link.resolve()
        root, start = self._root.resolve(), self._start.resolve()
        if not target.is_relative_to(root):
            self._skip(link, reason="symbolic link to a folder outside the root", count=False)
        elif SKIPPED_NAMES.keys() & set(target.relative_to(root).parts):
            self._skip(link, reason="symbolic link into a folder that is left out by its name", count=False)
        elif target.is_relative_to(start) or start.is_relative_to(target):
            self._skip(link, reason="symbolic link to a folder of the tree that is read", count=False)
        elif any(target.is_relative_to(seen) or seen.is_relative_to(target) for seen in self._followed):
            self._skip(link, reason="symbolic link to a folder that another link led to", count=False)
        else:
            self._followed.add(target)
            self._read_tree(link, rules)
