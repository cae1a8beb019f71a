"""Adds `astrobio-audit train`."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from audit.options import ElsewhereOptions, KeepingOption, add_command
from validation.training.settings import KILLS, LIMIT_S, STEPS, VALIDATE_EVERY, TrainingSettings

if TYPE_CHECKING:
    from audit.session import Planner


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ElsewhereOptions):
    """What the options of `train` were set to."""

    cache: KeepingOption = True
    steps: Annotated[int, typer.Option("--steps", min=1, metavar="N", help="Optimizer steps of each run.")] = STEPS
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            "--checkpoint-every",
            min=1,
            metavar="N",
            help="Steps between checkpoints.  [default: 100, or a quarter of the steps where that is less]",
            show_default=False,
        ),
    ] = None
    validate_every: Annotated[
        int, typer.Option("--validate-every", min=1, metavar="N", help="Steps between looks at held-out batches.")
    ] = VALIDATE_EVERY
    limit_s: Annotated[
        float, typer.Option("--limit-s", min=1, metavar="S", help="Seconds after which a run begins no further step.")
    ] = LIMIT_S
    kills: Annotated[
        int, typer.Option("--kills", min=1, metavar="N", help="Kills of each declared training command.")
    ] = KILLS

    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="cpu|cuda|cuda:N",
            help="Where models of the specs are trained; a declared command chooses for itself.",
        ),
    ] = "cpu"

    @property
    def settings(self) -> TrainingSettings:
        """How long the runs are."""
        return TrainingSettings(
            steps=self.steps,
            checkpoint_every=self.checkpoint_every,
            validate_every=self.validate_every,
            limit_s=self.limit_s,
            kills=self.kills,
        )


def _train(options: TrainOptions) -> None:
    from audit.command import deliver_from_elsewhere, run_area
    from audit.devices import on_device

    if options.gateway:
        deliver_from_elsewhere(options, command="train")  # whose device it is
    run_area(
        options,
        command="train",
        planners=lambda: [_planner(options.settings)],
        keeps_results=True,
        prepared=partial(on_device, name=options.device),
    )


def _planner(settings: TrainingSettings) -> "Planner":
    from validation.training.plan import planner_of

    return planner_of(settings)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    add_command(
        app,
        TrainOptions,
        name="train",
        summary="Train every registered model and every declared training; interrupt, resume, kill and harm the "
        "package's own trainer. What has finished is kept, so that a run that was killed goes on where it was.",
        examples_of=[
            "astrobio-audit train",
            "astrobio-audit train --steps 100 --subject my_model",
            "astrobio-audit train --device cuda",
            "astrobio-audit train --steps 10000 --limit-s 3600 --output reports/training",
        ],
        run=_train,
    )
