"""Modules that are installed beside the target: found as files and parsed only when a name leads there, each once.

Nothing is imported. A module without Python source (a compiled extension) is not found, so that a base defined in one
stays unresolved.
"""

import ast
import os
import re
from collections.abc import Sequence
from pathlib import Path

from audit.static.discovery import SourceFile
from audit.static.names import FileSummary
from audit.static.reading import MAX_BYTES
from audit.static.records import analyse_files
from audit.static.store import FactStore
from audit.static.summary import names_of

_ALL = re.compile(rb"^__all__ *= *(\[[^]]*\])", re.MULTILINE)


class InstalledModules:
    """The modules of the folders on a search path, earlier folders first."""

    def __init__(self, folders: Sequence[Path] = (), *, store: FactStore | None = None) -> None:
        """Look at nothing yet. Files of which `store` knows the names are not read again."""
        self.folders = tuple(dict.fromkeys(folders))
        self.consulted: set[Path] = set()  # the files and folders that were looked at
        self._store = store
        self.files: dict[str, FileSummary] = {}
        self._modules: dict[str, FileSummary | None] = {}
        self._places: dict[str, tuple[Path, ...]] = {}
        self._listed: dict[str, frozenset[str] | None] = {}

    def find(self, module: str) -> tuple[str, tuple[str, ...]] | None:
        """Return the longest part of `module` that is a file or a folder of one, and the attributes that are left."""
        parts = module.split(".")
        found = 0
        while found < len(parts) and self.has(".".join(parts[: found + 1])):
            found += 1
        return (".".join(parts[:found]), tuple(parts[found:])) if found else None

    def has(self, module: str) -> bool:
        """Return whether there is a Python file, or a folder that can hold modules, for `module`."""
        return bool(self._locations(module))

    def file(self, module: str) -> FileSummary | None:
        """Return the summary of the file of `module`; None for a folder without `__init__.py` or an unreadable file."""
        if module not in self._modules:
            self._modules[module] = self._read(module)
        return self._modules[module]

    def may_export(self, module: str, name: str) -> bool:
        """Return False where the text alone says that a star import from the file of `module` does not bind `name`.

        One import of a large package goes through star imports of all its modules, of which one matters. Reading the
        one list that `__all__` is costs a twentieth of parsing the file.
        """
        if module not in self._listed:
            self._listed[module] = None if module in self._modules else self._only_list(module)
        listed = self._listed[module]
        return listed is None or name in listed

    def _only_list(self, module: str) -> frozenset[str] | None:
        """Return what `__all__` holds where the file names it once, in a list of plain strings; else None."""
        path = self._path(module)
        try:
            content = path.read_bytes() if path and path.stat().st_size <= MAX_BYTES else b""
        except OSError:
            return None
        found = _ALL.findall(content)
        if len(found) != 1 or content.count(b"__all__") != 1:
            return None
        try:
            names = ast.literal_eval(found[0].decode("ascii"))
        except (ValueError, SyntaxError):
            return None
        return frozenset(name for name in names if isinstance(name, str))

    def _path(self, module: str) -> Path | None:
        location = next(iter(self._locations(module)), None)
        if location is None:
            return None
        path = location if location.suffix == ".py" else location / "__init__.py"
        self.consulted.add(path)
        return path if path.is_file() else None

    def _read(self, module: str) -> FileSummary | None:
        path = self._path(module)
        if path is None:
            return None
        # The absolute path is the file's identity: it never meets one of the target's, which are relative.
        file = SourceFile(path=path, relative=path.as_posix(), module=module)
        (summary,) = analyse_files([file], names_of, store=self._store)
        if not isinstance(summary, FileSummary):
            return None
        self.files[summary.path] = summary
        return summary

    def _locations(self, module: str) -> tuple[Path, ...]:
        """Return the package's folder or the module's file; all folders of that name where none has `__init__.py`."""
        if module not in self._places:
            self._places[module] = self._search(module)
        return self._places[module]

    def _search(self, module: str) -> tuple[Path, ...]:
        package, _, name = module.rpartition(".")
        if not name.isidentifier():
            return ()
        # In a file there are no modules; what it holds is no witness of that.
        folders = [each for each in self._locations(package) if each.suffix != ".py"] if package else self.folders
        portions: list[Path] = []
        for folder in folders:
            self.consulted.update((folder, folder / name))
            if os.path.isfile(folder / name / "__init__.py"):
                return (folder / name,)
            if os.path.isfile(folder / f"{name}.py"):
                return (folder / f"{name}.py",)
            if os.path.isdir(folder / name):
                portions.append(folder / name)
            else:  # what is behind a link can come and go while the folder stays as it is
                links = (folder / name, folder / f"{name}.py")
                self.consulted.update(link for link in links if os.path.islink(link))
        return tuple(portions)
