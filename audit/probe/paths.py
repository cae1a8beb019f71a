"""The child's import path: the target's source first, the auditor's own packages out of reach."""

import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Protocol

Found = importlib.machinery.ModuleSpec | None


class HiddenPackages(importlib.abc.MetaPathFinder):
    """Steps over the auditor's `audit` and `validation` packages, so that the target's own of these names are found.

    The auditor is often installed in the very environment it audits. Its packages then lie on the path, and an import
    of `validation` by the target would find the auditor's.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        """Hide the packages in these folders (absolute paths)."""
        self._folders = {os.path.realpath(folder) for folder in folders}
        self._names = {os.path.basename(folder) for folder in folders}

    def install(self) -> None:
        """Come before every finder there is, and let none of them find what is hidden."""
        sys.meta_path[:] = [self, *(_Without(finder, self.hides) for finder in sys.meta_path)]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> Found:
        """Find a package of a hidden name that lies behind the hidden one; the rest is left to the other finders."""
        if fullname not in self._names:
            return None
        for entry in sys.path:
            spec = importlib.machinery.PathFinder.find_spec(fullname, [entry])
            if spec is not None and not self.hides(spec):
                return spec
        return None

    def hides(self, spec: importlib.machinery.ModuleSpec) -> bool:
        """Whether this is one of the hidden packages."""
        if spec.name not in self._names:
            return False
        return any(os.path.realpath(place) in self._folders for place in spec.submodule_search_locations or ())


class _Finder(Protocol):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = ..., /
    ) -> Found: ...


class _Without:
    """A finder that does not find what is hidden; in everything else the finder that it stands for."""

    def __init__(self, finder: _Finder, hides: Callable[[importlib.machinery.ModuleSpec], bool]) -> None:
        self._finder = finder
        self._hides = hides

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> Found:
        spec = self._finder.find_spec(fullname, path, target)
        return None if spec is not None and self._hides(spec) else spec

    def __getattr__(self, name: str) -> object:
        return getattr(self._finder, name)


def enter(*, source: str, root: str, hidden: Sequence[str]) -> None:
    """Work in the target's root, with its source first on the path in place of the interpreter's own first entry."""
    os.chdir(root)
    if sys.path and sys.path[0] == "":
        sys.path.pop(0)
    sys.path.insert(0, source)
    if hidden:
        HiddenPackages(hidden).install()
