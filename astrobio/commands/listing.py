"""`astrobio tasks` and `astrobio models`."""

import typer

from astrobio.registry import list_models, model_card, name_of_model
from astrobio.training.errors import UsageError
from astrobio.training.task import TrainingTask
from astrobio.training.tasks import TASKS, create_task


def print_tasks() -> None:
    """One line per task and preset."""
    for name in sorted(TASKS):
        for preset, values in sorted(create_task(name).presets.items()):
            typer.echo(f"{name:<16} {preset:<6} {values.steps} steps of {values.batch_size} samples")


def print_models() -> None:
    """One line per model: what it predicts."""
    for name in list_models():
        typer.echo(f"{name:<32} {model_card(name).task}")


def model_of_task(task: TrainingTask) -> str:
    """The registered model that a task trains."""
    return task.model_name or name_of_model(task.build_model())


def print_card(name: str) -> None:
    """All that the card of a model says; the name of a task stands for the model that it trains, which is told.

    Raises:
        UsageError: there is no such model.
    """
    if name not in list_models():
        if name not in TASKS:
            told = f"choose from: {', '.join(list_models())}; or one of the tasks: {', '.join(sorted(TASKS))}"
            raise UsageError(f"unknown model {name!r}; {told}")
        task, name = name, model_of_task(create_task(name))
        typer.echo(f"{task} is a task; the model that it trains is {name}", err=True)
    card = model_card(name)
    typer.echo(f"{name}: {card.task}")
    for title, entries in (("inputs", card.inputs), ("outputs", card.outputs), ("units", card.units)):
        typer.echo(f"{title}:")
        for key, text in entries.items():
            typer.echo(f"  {key}: {text}")
    if card.ranges:
        typer.echo("ranges:")
        for key, (low, high) in card.ranges.items():
            typer.echo(f"  {key}: {low:g} to {high:g}")
    typer.echo(f"license: {card.license}")
    for title, lines in (("limits", card.limits), ("references", card.references)):
        typer.echo(f"{title}:")
        for line in lines:
            typer.echo(f"  {line}")
