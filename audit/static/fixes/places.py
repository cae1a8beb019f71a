"""From the paths that a user names to the trees in which files are fixed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder or file to fix, and the folder that would be on `sys.path` for its modules to be imported."""

    root: Path
    start: Path


def trees_of(paths: Sequence[Path]) -> tuple[Tree, ...]:
    """Return a tree for each path that does not lie in another one, sorted.

    Raises:
        UsageError: a path does not exist, or is a file that is not Python's.
    """
    starts = sorted({Path(os.path.abspath(_existing(path))) for path in paths})
    outer = [start for start in starts if not any(start != each and start.is_relative_to(each) for each in starts)]
    return tuple(Tree(root=_import_root(start), start=start) for start in outer)


def _existing(path: Path) -> Path:
    try:
        exists = path.exists()
    except (OSError, ValueError):  # too long a name, or one with a NUL in it
        exists = False
    if not exists:
        raise UsageError(f"{path}: no such file or folder; name what is to be fixed")
    if not path.is_dir() and path.suffix != ".py":
        raise UsageError(f"{path}: not a Python file; name a `.py` file or a folder")
    return path


def _import_root(start: Path) -> Path:
    folder = start if start.is_dir() else start.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    return folder


def shown(path: Path) -> str:
    """Return a path as the user would write it from the current folder; bytes that are no UTF-8 become escapes."""
    text = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    return os.fsencode(text).decode("utf-8", "backslashreplace")
