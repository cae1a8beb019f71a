"""What other packages add to the toolkit, through entry points; each is imported when its kind is first needed.

A plug-in that does not load costs itself and nothing else: a command is told of in one line, and what a report would
have checked with it becomes a check that could not be carried out.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from audit.ending import staying

COMMANDS = "astrobio_audit.commands"  # a function that takes the typer application
RULES = "astrobio_audit.rules"  # a subclass of `audit.static.rules.rule.Rule`
PROPERTIES = "astrobio_audit.properties"  # a module with `CHECK` and `judge(subject, run)`
SMOKE_CHECKS = "astrobio_audit.smoke_checks"  # a module with `CHECK`, `REQUIRES` and `judge(model, run)`
BACKENDS = "astrobio_audit.backends"  # a module with `forward`; only the target's process imports it
_JUDGING = (RULES, PROPERTIES, SMOKE_CHECKS)
_OWN = "astrobio-audit"
_MOST_TOLD = 300
Found = TypeVar("Found")


@dataclass(frozen=True)
class Plugin:
    """An entry point of a group, and the package that it comes from."""

    entry: importlib.metadata.EntryPoint

    @property
    def name(self) -> str:
        """The name of the entry point."""
        return self.entry.name

    @property
    def package(self) -> str:
        """The distribution that declares it."""
        return self.entry.dist.name if self.entry.dist else "a package without a name"

    @property
    def is_own(self) -> bool:
        """Whether it is the toolkit's own."""
        return re.sub(r"[-_.]+", "-", self.package).lower() == _OWN

    def __str__(self) -> str:
        """Return how messages call it."""
        return f"plug-in {self.name} of {self.package}"

    def read(self, how: Callable[[object], Found]) -> "Loaded[Found]":
        """Import it and make of it what its kind needs; `how` raises ValueError where it is something else."""
        try:
            # Standard output is the report's, and may be read as JSON; an end of the process would leave no report.
            with contextlib.redirect_stdout(sys.stderr), staying():
                return Loaded(self, how(self.entry.load()), None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # what skips a test, and a panic of Rust, are no Exception
            told = _told(error)
            return Loaded(self, None, f"{self} ({self.entry.value}) cannot be loaded: {told}"[:_MOST_TOLD])


@dataclass(frozen=True)
class Loaded(Generic[Found]):
    """A plug-in that was imported, or why it could not be."""

    plugin: Plugin
    value: Found | None
    problem: str | None


def _told(error: BaseException) -> str:
    try:
        said = " ".join(str(error).split())
    except Exception:  # the error's own `__str__`
        said = "its message cannot be read"
    return said if type(error) is ValueError else f"{type(error).__name__}: {said}"


@cache
def _declared() -> Any:
    """Return all entry points: to find those of one group takes as long. Their type is another one in Python 3.12."""
    return importlib.metadata.entry_points()


@cache
def plugins(group: str) -> tuple[Plugin, ...]:
    """Return the plug-ins of a group by name, the toolkit's own first; nothing of them is imported."""
    found = {Plugin(entry) for entry in _declared().select(group=group)}
    return tuple(sorted(found, key=lambda each: (not each.is_own, each.name, each.package)))


def loaded(group: str, how: Callable[[object], Found]) -> tuple[Loaded[Found], ...]:
    """Import all plug-ins of a group; see `Plugin.read`."""
    return tuple(plugin.read(how) for plugin in plugins(group))


def values(found: Sequence[Loaded[Found]]) -> tuple[Found, ...]:
    """Return those that could be loaded."""
    return tuple(each.value for each in found if each.value is not None)


def source_of(module: str) -> Path:
    """Return the file of a module, which is not imported; the packages around it are.

    Raises:
        ValueError: there is none.
    """
    try:
        spec = importlib.util.find_spec(module)
    except (Exception, SystemExit) as error:  # a package around it
        raise ValueError(f"{module}: {type(error).__name__}: {error}") from error
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ValueError(f"{module}: there is no such Python file")
    return Path(spec.origin)


@cache
def folders() -> tuple[Path, ...]:
    """Return the folders on which worker processes find the rules: an import hook of the caller they do not have."""
    found = []
    for plugin in plugins(RULES):
        top = plugin.entry.module.partition(".")[0]
        place = _place(top)
        if place is not None:
            found.append(place.parent)
    return tuple(dict.fromkeys(found))


@cache
def digest() -> str:
    """Return a digest of the code that judges in the place of ours; empty without any."""
    judging = [plugin for group in _JUDGING for plugin in plugins(group)]
    if not judging:
        return ""
    total = hashlib.sha256()
    for plugin in judging:
        total.update(f"{plugin.entry.group}\0{plugin.name}\0{plugin.entry.value}\0".encode())
    for top in sorted({plugin.entry.module.partition(".")[0] for plugin in judging}):
        place = _place(top)
        files = sorted(place.rglob("*.py")) if place and place.is_dir() else [place] if place else []
        for path in files:
            total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _place(top: str) -> Path | None:
    """Return the folder of a top-level package, or the file of a module, without importing it."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
