"""Verdicts of earlier runs, under a key made of all that they depend on: a run that was killed goes on where it was."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from audit import provenance
from audit.mutation.mutants import Mutant
from audit.own_code import digest_of_packages, packages_of
from audit.results import Frozen
from audit.static.environment import site_folders
from audit.static.store import cache_folder
from audit.target import Target
from validation.mutation.records import Record

_FOLDER = "mutants-1"  # a change of the form changes the number
_MOST_FILES = 20_000
_OF_THE_ENVIRONMENT = ("PYTEST_", "TORCH", "CUDA_", "TRITON_", "OMP_", "PYTHON")

Kept = TypeVar("Kept", bound=Frozen)


class KeptVerdicts:
    """Verdicts by what they depend on. Nothing that it does raises: no run fails for want of a folder to write to."""

    def __init__(self, target: Target, command: str, digests: Mapping[str, str], *, enabled: bool) -> None:
        """Open the folder, which is created where it is missing.

        Args:
            target: whose tests are judged.
            command: what runs them.
            digests: SHA-256 of the target's files, by path.
            enabled: whether anything is kept and taken over.
        """
        self._digests = digests
        code = digest_of_packages(packages_of((KeptVerdicts,)))
        self._base = "\0".join(
            (
                code or "", str(target.root), str(target.python), target.package, command,
                target.settings.model_dump_json(exclude={"workers", "forks"}), *provenance.machine(),
                *_installed(target.python), *_environment(),
            )
        )  # fmt: skip
        self._folder = cache_folder() / _FOLDER
        self._usable = False
        with suppress(OSError):
            if enabled and code is not None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._usable = self._folder.stat().st_uid == os.geteuid()  # what others can write is not believed
                self._tidy()

    @property
    def whole(self) -> str:
        """A key for what depends on every file."""
        return self._digest_of(self._digests)

    def key_of(self, mutant: Mutant, selected: Iterable[frozenset[str] | None], record: Record) -> str:
        """Return a key for a mutant: of its text, the tests that it is tried on, and the files that those run.

        Of a file of Python that the tests never run nothing depends; of any other file it cannot be told.
        """
        sets = list(selected)
        if not record.has_lines or None in sets or record.starting:
            return f"{self.whole}\0{mutant.digest}"
        tests = frozenset[str]().union(*(each for each in sets if each is not None))
        of_tests = {test.partition("::")[0] for test in record.collected}
        chosen = {test.partition("::")[0] for test in tests}
        needed = [
            path
            for path in self._digests
            if not path.endswith(".py") or path in chosen or (path not in of_tests and record.lines.get(path))
        ]
        return "\0".join((self._digest_of(needed), mutant.digest, *sorted(tests)))

    def get(self, key: str, kind: type[Kept]) -> Kept | None:
        """Return what was kept under a key."""
        if not self._usable:
            return None
        try:
            return kind.model_validate_json(self._path(key).read_bytes())
        except (OSError, ValidationError):  # not there; or cut off, or edited: as good as not there
            return None

    def put(self, key: str, value: Frozen) -> None:
        """Keep something under a key."""
        if not self._usable:
            return
        with suppress(OSError, UnicodeEncodeError):
            descriptor, name = tempfile.mkstemp(dir=self._folder)  # whole, or not there: a kill may come at any time
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(value.model_dump_json())
                os.replace(name, self._path(key))
            except (OSError, UnicodeEncodeError):  # of a disk that is full nothing more is taken
                os.unlink(name)

    def _digest_of(self, paths: Iterable[str]) -> str:
        return "\0".join(f"{path} {self._digests[path]}" for path in sorted(paths))

    def _path(self, key: str) -> Path:
        text = f"{self._base}\0{key}".encode("utf-8", "surrogateescape")
        return self._folder / f"{hashlib.sha256(text).hexdigest()[:40]}.json"

    def _tidy(self) -> None:
        paths = list(self._folder.iterdir())
        if len(paths) > _MOST_FILES:
            for path in sorted(paths, key=lambda path: path.stat().st_mtime)[: len(paths) // 2]:
                path.unlink(missing_ok=True)


def digests_of(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of files, by their path relative to `root`; of a link, of where it leads."""
    found = {}
    for name in names:
        with suppress(OSError):
            path = root / name
            content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def _environment() -> list[str]:
    passing = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST")
    return [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith(_OF_THE_ENVIRONMENT) and not name.startswith(passing)
    ]


def _installed(python: Path) -> list[str]:
    """Return what tells whether packages were installed or removed."""
    names: list[str] = []
    for folder in site_folders(python):
        with suppress(OSError):
            names += sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith((".dist-info", ".pth")))
    return names
