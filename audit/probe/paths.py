"""The child's import path: the target's source first, the auditor's own packages out of reach."""

import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Sequence


class HiddenPackages(importlib.abc.MetaPathFinder):
    """Steps over the auditor's `audit` and `validation` packages, so that the target's own of these names are found.

    The auditor is often installed in the very environment it audits. Its packages then lie on the path, and an import
    of `validation` by the target would find the auditor's.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        """Hide the packages in these folders (absolute paths)."""
        self._folders = {os.path.realpath(folder) for folder in folders}
        self._names = {os.path.basename(folder) for folder in folders}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a hidden name elsewhere on the path; other names are left to the finders that follow."""
        if fullname not in self._names:
            return None
        for entry in sys.path:
            spec = importlib.machinery.PathFinder.find_spec(fullname, [entry])
            if spec is not None and not self._hides(spec):
                return spec
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

    def _hides(self, spec: importlib.machinery.ModuleSpec) -> bool:
        places = list(spec.submodule_search_locations or ())
        return any(os.path.realpath(place) in self._folders for place in places)


def enter(*, source: str, root: str, hidden: Sequence[str]) -> None:
    """Work in the target's root, with its source first on the path in place of the interpreter's own first entry."""
    os.chdir(root)
    if sys.path and sys.path[0] == "":
        sys.path.pop(0)
    sys.path.insert(0, source)
    if hidden:
        sys.meta_path.insert(0, HiddenPackages(hidden))
