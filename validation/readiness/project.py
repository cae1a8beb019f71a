"""The files of a project as the areas beside code see them: documents, workflows, scripts, weights and data."""

import os
import stat
from functools import cached_property
from pathlib import Path

from audit.collected import Collected
from audit.static.artifacts import not_ignored, paths_below
from audit.static.ignores import PathIgnores
from audit.static.inventory import InventoryItem
from audit.static.project import other_packages, project_scripts
from audit.static.rules.project_checks import project_files
from audit.static.rules.project_files import ProjectFiles
from audit.static.rules.project_texts import Text

MAX_FILES = 200_000
_HEAD_BYTES = 128


class Project:
    """What lies in the target's root, less what `.gitignore` files and `exclude` leave out; read when asked for."""

    def __init__(self, collected: Collected) -> None:
        """Read nothing yet."""
        self._collected = collected
        self.root = collected.target.root

    @cached_property
    def ignores(self) -> PathIgnores:
        """Which rules the configuration turns off for which paths."""
        return PathIgnores(self._collected.target.settings.per_path_ignores)

    @cached_property
    def data(self) -> tuple[InventoryItem, ...]:
        """Files of weights and data, ignored ones too: weights are what `.gitignore` usually names."""
        return project_files(self._collected).data

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Paths relative to the root, sorted; none in a folder of installed packages."""
        target = self._collected.target
        others = other_packages(self.root, target.package_path)
        if others is None:
            return ()
        found = sorted(paths_below(self.root, frozenset(others)))[:MAX_FILES]
        kept = tuple(path for path in not_ignored(self.root, found) if _is_text(path))
        return ProjectFiles(self.root, texts=kept, items=(), exclude=target.settings.exclude).texts

    @cached_property
    def texts(self) -> ProjectFiles:
        """The same files, for reading: the first MiB of each that is no binary."""
        return ProjectFiles(self.root, texts=self.files, items=())

    @cached_property
    def scripts(self) -> dict[str, str]:
        """The commands that the project declares, with what each starts."""
        return project_scripts(self.root)

    @cached_property
    def modules(self) -> dict[str, str]:
        """The target's modules by name, with the path of each."""
        collected = self._collected
        return {file.module: collected.rooted(file.relative) for file in collected.analysis.files}

    @property
    def source(self) -> str:
        """The folder that holds the package, relative to the root."""
        return self._collected.target.source.relative_to(self.root).as_posix()

    @property
    def package(self) -> str:
        """The package's import name."""
        return self._collected.target.package

    def text(self, path: str) -> Text | None:
        """Return a file's beginning; None where it is binary or cannot be read."""
        return self.texts.text(path)

    def exists(self, path: str) -> bool:
        """Return whether something lies at a path that does not leave the project."""
        try:
            return self.texts.exists(path)
        except (OSError, ValueError, RuntimeError):  # too long a name, a NUL in it, a loop of links
            return False

    def is_inside(self, path: str) -> bool:
        """Return whether a path, resolved by its text alone, stays in the project."""
        return not os.path.normpath(path).startswith("..") and not path.startswith("/")

    def head(self, path: str) -> bytes:
        """Return the first bytes of a regular file; nothing where there are none."""
        place = self.root / path
        try:
            if not stat.S_ISREG(place.lstat().st_mode):
                return b""
            with place.open("rb") as opened:
                return opened.read(_HEAD_BYTES)
        except (OSError, ValueError):
            return b""


def _is_text(path: str) -> bool:
    """Return whether a path can stand in a report, which is UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def normalised(path: str) -> str:
    """Return a path without `.` and `..` where these can be told by the text alone."""
    return Path(os.path.normpath(path)).as_posix()
