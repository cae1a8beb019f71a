"""A progress bar: the current subjects, checks done of all, failures so far, time."""

import os
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from audit.report.text import one_line
from audit.results import Outcome, Result


class ProgressDisplay:
    """Shows the run on a terminal; where there is none, nothing."""

    def __init__(self, command: str, console: Console) -> None:
        """Prepare a bar for `command` on `console`."""
        self._progress = Progress(
            TextColumn(command, markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failures]} failed"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[subject]}", markup=False),
            console=console,
            transient=True,
        )
        self._failures = 0
        # Where somebody follows the run from another machine, a line for each finished check stands for the bar.
        self._in_lines = not console.is_interactive and os.environ.get("ASTROBIO_AUDIT_PROGRESS") == "lines"
        self._task: TaskID = self._progress.add_task(command, total=None, failures=0, subject="collecting")

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._progress.console.is_interactive:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        if self._progress.console.is_interactive:  # elsewhere even stopping prints an empty line
            self._progress.stop()

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
            subject=one_line(subject, 60),
        )
        if results and self._in_lines:
            task = self._progress.tasks[self._task]
            share = f"{task.completed:.0f}/{task.total:.0f}" if task.total else f"{task.completed:.0f}"
            failed = f", {self._failures} failed" if self._failures else ""
            text = f"{share}{failed}: {one_line(subject, 60)}: {results[0].check} {results[0].outcome.value}"
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
