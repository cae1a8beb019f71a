"""The files that make up a target, its data and settings included.

They are what git tracks and what it does not ignore, and beside that compiled extensions in the package, without which
it could not be imported; without git everything but version control, caches and environments.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from audit.provenance import git_output
from audit.static.discovery import ENVIRONMENT_MARKERS, SKIPPED_NAMES
from audit.target import Target

_COMPILED = (".so", ".pyd", ".dylib")


def files_of(target: Target) -> list[str]:
    """Return files and links, relative to the target's root, sorted.

    Raises:
        OSError: a folder cannot be read.
    """
    root = target.root
    listed = git_output(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    found: set[str] = set()
    for name in [os.fsdecode(each) for each in listed.split(b"\0") if each] if listed is not None else ["."]:
        path = root / name
        if path.is_dir() and not path.is_symlink():  # the whole, or a submodule
            found.update(_below(root, path))
        elif os.path.lexists(path):  # it may be tracked and deleted
            found.add(name)
    package = target.package_path
    if package.is_dir():
        found.update(name for name in _below(root, package) if name.endswith(_COMPILED))
    return sorted(found)


def _below(root: Path, folder: Path) -> Iterator[str]:
    for path, folders, names in os.walk(folder):
        here = Path(path)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in links and _is_wanted(here / name))
        for name in (*names, *links):
            yield (here / name).relative_to(root).as_posix()


def _is_wanted(folder: Path) -> bool:
    vendored = folder.name in ("_vendor", "vendor", "third_party")
    if folder.name in SKIPPED_NAMES and not vendored:
        return False
    return not any(os.path.lexists(folder / marker) for marker in ENVIRONMENT_MARKERS)
