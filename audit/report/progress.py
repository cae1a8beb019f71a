"""A progress bar: the current subjects, checks done of all, failures so far, time spent and left."""

import os
import threading
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from audit.report.text import one_line
from audit.results import Outcome, Result

_EVERY_S = 30.0
_IN_MINUTES_S = 120.0
_FEWEST = 5  # checks done before the time that is left is told


class ProgressDisplay:
    """Shows the run: a bar on a terminal, elsewhere a line every half a minute, for logs that are followed."""

    def __init__(self, command: str, console: Console, *, every_s: float = _EVERY_S) -> None:
        """Prepare a bar for `command` on `console`, or a line every so many seconds where that is no terminal."""
        self._every_s = every_s
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._teller = threading.Thread(target=self._tell, name="audit-progress", daemon=True)
        self._progress = Progress(
            TextColumn(command, markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failures]} failed"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[subject]}", markup=False),
            console=console,
            transient=True,
        )
        self._failures = 0
        # Where somebody follows the run from another machine, a line for each finished check stands for the bar.
        self._in_lines = not console.is_interactive and os.environ.get("ASTROBIO_AUDIT_PROGRESS") == "lines"
        self._task: TaskID = self._progress.add_task(command, total=None, failures=0, left="", subject="collecting")

    def __enter__(self) -> Self:
        """Show the bar, or begin to tell."""
        if self._progress.console.is_interactive:
            self._progress.start()
        elif not self._in_lines:
            self._teller.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar, or tell no more."""
        self._over.set()
        if self._progress.console.is_interactive:  # elsewhere even stopping prints an empty line
            self._progress.stop()
        elif not self._in_lines:
            self._teller.join()

    def planned(self, total: int) -> None:
        """Set the number of planned checks."""
        self._progress.update(self._task, total=total)

    def notify(self, subject: str, results: Sequence[Result]) -> None:
        """Show the subject at work; count what has finished."""
        self._failures += sum(result.outcome is Outcome.FAILED for result in results)
        self._progress.update(
            self._task,
            advance=1 if results else 0,
            failures=self._failures,
            left=_left(self._progress.tasks[self._task], time.monotonic() - self._begun),
            subject=one_line(subject, 60),
        )
        if results and self._in_lines:
            self._print(f"{self._share}: {one_line(subject, 60)}: {results[0].check} {results[0].outcome.value}")

    @property
    def _share(self) -> str:
        task = self._progress.tasks[self._task]
        share = f"{task.completed:.0f}/{task.total:.0f}" if task.total else f"{task.completed:.0f}"
        return f"{share}, {self._failures} failed" if self._failures else share

    def _tell(self) -> None:
        while not self._over.wait(self._every_s):
            task = self._progress.tasks[self._task]
            passed = time.monotonic() - self._begun
            left = f", {told}" if (told := _left(task, passed)) else ""
            self._print(f"{task.description}: {self._share}, {passed:.0f} s{left}: {task.fields['subject']}")

    def _print(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _left(task: Task, passed: float) -> str:
    """Return how long the rest takes, as if each check took as long as those before; nothing where few are done."""
    if task.completed < _FEWEST or not task.remaining:
        return ""
    left = passed / task.completed * task.remaining
    return f"some {left / 60:.0f} min left" if left > _IN_MINUTES_S else f"some {left:.0f} s left"
