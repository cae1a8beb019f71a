"""Progress of a training: a bar on a terminal, lines elsewhere; always on standard error."""

from collections.abc import Mapping
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class StepProgress:
    """Shows steps and loss."""

    def __init__(self, steps: int, *, is_shown: bool) -> None:
        """Prepare for a training of `steps`; one that is not shown is silent."""
        self._console = Console(stderr=True, quiet=not is_shown)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("training", total=steps, loss="-")
        self._is_bar = is_shown and self._console.is_interactive

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._is_bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        if self._is_bar:
            self._bar.stop()

    def advance_to(self, record: Mapping[str, float]) -> None:
        """Show a step that is done."""
        self._bar.update(self._task, completed=record["step"], loss=f"{record['loss']:.5f}")

    def report(self, line: str) -> None:
        """Show a line; on a terminal it stays above the bar."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
