"""A digest of the code that judges: of this package, and of every other whose functions take part in a run."""

import functools
import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

OWN = __name__.partition(".")[0]


def packages_of(functions: Iterable[object]) -> frozenset[str]:
    """Return the names of the top-level packages that functions come from, and that of this one."""
    return frozenset({OWN} | {_module_of(each).partition(".")[0] for each in functions})


def digest_of_packages(names: Iterable[str]) -> str | None:
    """Return a digest of every Python file of packages that are loaded; None where one has no files to be known by."""
    digests = {name: _digest_of(name) for name in sorted(set(names))}
    return None if None in digests.values() else "\0".join(f"{name} {digest}" for name, digest in digests.items())


def _module_of(function: object) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__module__", None) or type(function).__module__)


@cache
def _digest_of(name: str) -> str | None:
    files = _files_of(name)
    total = hashlib.sha256()
    for label, path in files:
        total.update(f"{label}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest() if files else None


def _files_of(name: str) -> list[tuple[str, Path]]:
    module = sys.modules.get(name)
    folders = [Path(each) for each in getattr(module, "__path__", ())]
    found = [(path.relative_to(folder).as_posix(), path) for folder in folders for path in sorted(folder.rglob("*.py"))]
    file = getattr(module, "__file__", None)
    return found or ([(name, Path(file))] if file else [])
