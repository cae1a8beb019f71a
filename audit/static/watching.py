"""Analyses again whenever a file changes: a line for each run, and one for each finding that comes or goes."""

import gc
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from audit.errors import UsageError
from audit.report.document import Report
from audit.report.text import counted, one_line
from audit.results import Outcome, Result
from audit.static.discovery import SKIPPED_NAMES
from audit.static.notebooks import SUFFIX as NOTEBOOK

POLL_S = 0.5
_SETTINGS = ("pyproject.toml", ".gitignore")
_MAX_NAMED = 3
_EXIT_USAGE = 2
_EXIT_INCOMPLETE = 3

State = tuple[int, int] | frozenset[str] | None


@dataclass
class Watched:
    """The files and folders of a tree as they were last seen."""

    root: Path
    states: dict[str, State] = field(default_factory=dict)
    _times: dict[str, int] = field(default_factory=dict)

    def look(self) -> list[str]:
        """Look at everything again; return the relative paths of the files that are new, changed or gone."""
        before = self.states
        self.states = dict(self._seen())
        files = {path for path in before.keys() | self.states.keys() if before.get(path) != self.states.get(path)}
        return sorted(path for path in files if not isinstance(before.get(path, self.states.get(path)), frozenset))

    def _seen(self) -> Iterator[tuple[str, State]]:
        pending = [""]
        while pending:
            folder = pending.pop()
            names = self._names(folder)
            yield f"{folder}/", names
            for name in names:
                if name.endswith("/"):
                    pending.append(os.path.join(folder, name[:-1]))
                else:
                    path = os.path.join(folder, name)
                    yield path, _state(self.root / path)

    def _names(self, folder: str) -> frozenset[str]:
        """Return the entries that matter, folders with a slash behind; listed again only where the folder changed."""
        place = self.root / folder
        try:
            changed = os.stat(place).st_mtime_ns
            known = self.states.get(f"{folder}/")
            if isinstance(known, frozenset) and self._times.get(folder) == changed:
                return known
            with os.scandir(place) as entries:
                names = frozenset(_name(entry) for entry in entries) - {""}
        except OSError:
            return frozenset()
        self._times[folder] = changed
        return names


def _name(entry: os.DirEntry[str]) -> str:
    if entry.is_dir(follow_symlinks=False):
        return "" if entry.name in SKIPPED_NAMES or entry.name == ".venv" else f"{entry.name}/"
    return entry.name if entry.name.endswith((".py", NOTEBOOK)) or entry.name in _SETTINGS else ""


def _state(path: Path) -> State:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def watch(
    run: Callable[[], Report],
    root: Path,
    *,
    show: Callable[[Report], None],
    say: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
) -> int:
    """Run once and show the report, then run again after each change until the user stops it.

    Returns the exit code of the last run that came to its end.
    """
    exit_code = _EXIT_INCOMPLETE
    known: Counter[tuple[str, ...]] = Counter()
    try:
        watched = Watched(root)
        watched.look()
        report = run()
        if report.interrupted:
            return exit_code
        exit_code = report.exit_code
        known = _failures(report)
        show(report)
        say(f"watching {root}; Ctrl-C ends it")
        while True:
            wait(POLL_S)
            changed = watched.look()
            if not changed:
                continue
            gc.unfreeze()  # what the last run kept is not needed any more
            gc.collect()
            when = f"{datetime.now():%H:%M:%S} {_named(changed)}"
            try:
                report = run()
            except UsageError as error:
                exit_code = _EXIT_USAGE
                say(f"{when}: {error}")
                continue
            if report.interrupted:
                return exit_code
            exit_code = report.exit_code
            found = _failures(report)
            say(f"{when}: {counted(found.total(), 'failure')}")
            for sign, rows in (("+", found - known), ("-", known - found)):
                for row in sorted(rows.elements()):
                    say(f"  {sign} {' '.join(row)}")
            known = found
    except KeyboardInterrupt:
        return exit_code


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - _MAX_NAMED} more" if len(paths) > _MAX_NAMED else ""
    return f"{', '.join(paths[:_MAX_NAMED])}{more}"


def _failures(report: Report) -> Counter[tuple[str, ...]]:
    """Return the failures that count, without their lines, which change with what stands above."""
    counting = (each for each in report.results if each.outcome is Outcome.FAILED and not each.set_apart)
    return Counter(_shown(result) for result in counting)


def _shown(result: Result) -> tuple[str, ...]:
    place = result.location
    where = f"{place.path}{f' in {place.qualname}' if place.qualname else ''}" if place else result.subject.name
    return result.check, where, one_line(result.reason or "")
