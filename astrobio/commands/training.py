"""`astrobio train` and `astrobio eval`."""

import json
import os
import signal
import sys
import types
from collections.abc import Mapping
from pathlib import Path

import torch
import typer

from astrobio.commands.progress import StepProgress
from astrobio.serving.loaded_run import load_trained
from astrobio.training.errors import UsageError
from astrobio.training.task import TrainingTask
from astrobio.training.tasks import create_task
from astrobio.training.trainer import FitSettings, evaluated, fit


class _Stopping:
    """The wish to stop: before the first step it is granted at once, later after the step, and a second one at once."""

    def __init__(self) -> None:
        self.is_wanted = False
        self.are_steps_done = False
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, self._ask)

    def _ask(self, signum: int, frame: types.FrameType | None) -> None:
        if self.is_wanted or not self.are_steps_done:
            raise KeyboardInterrupt
        self.is_wanted = True


def train_task(
    name: str,
    *,
    preset: str,
    steps: int | None,
    seed: int,
    output: Path | None,
    resume: bool,
    device: str,
    settings: Mapping[str, object],
    threads: int | None,
) -> None:
    """Train, and print the figures on held-out data to standard output.

    Raises:
        UsageError: an option describes no run.
        Exception: as `astrobio.training.trainer.fit`.
    """
    task = _task(name, preset, seed)
    if threads is not None:
        torch.set_num_threads(threads)
    folder = Path("runs") / f"{name}-{preset}-seed{seed}" if output is None else output
    total = task.preset.steps if steps is None else steps
    stopping = _Stopping()
    is_first = os.environ.get("RANK", "0") == "0"
    with StepProgress(total, is_shown=is_first) as progress:

        def on_step(record: Mapping[str, float]) -> None:
            stopping.are_steps_done = True
            progress.advance_to(record)

        _, figures = fit(
            task,
            steps=steps,
            output=folder,
            resume=resume,
            device=device,
            settings=FitSettings(**settings),  # type: ignore[arg-type]
            report=progress.report,
            on_step=on_step,
            is_stop_wanted=lambda: stopping.is_wanted,
        )
    if is_first:
        print_figures(figures)
        typer.echo(f"run: {folder}", err=True)


def evaluate_run(path: Path, *, as_json: bool) -> None:
    """Measure the newest checkpoint; the figures go to standard output.

    Raises:
        RunFolderError: there is no run to measure.
    """
    trained = load_trained(path, report=_to_stderr)
    if trained.step < trained.steps:
        _to_stderr(f"the run is not finished: step {trained.step} of {trained.steps}")
    figures = evaluated(trained.task, trained.model)
    if as_json:
        typer.echo(json.dumps({"task": trained.task.name, "step": trained.step, "figures": figures}, sort_keys=True))
    else:
        print_figures(figures)


def print_figures(figures: Mapping[str, float]) -> None:
    """One figure per line, to six digits."""
    for name, value in figures.items():
        typer.echo(f"{name}: {value:.6g}")


def _task(name: str, preset: str, seed: int) -> TrainingTask:
    try:
        return create_task(name, preset, seed=seed)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
