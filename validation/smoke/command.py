"""Adds `astrobio-audit smoke`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from audit.options import ElsewhereOptions, KeepingOption, TargetAroundOption, add_command

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE[::NAME]]...",
        help="Model classes to judge, in any file, without specs; a file alone: all in it; none: those of the target.",
    ),
]
_SUMMARY = (
    "Import every module; build, run, differentiate, step, save and load every registered model. Without specs, the "
    "models of the inventory, built and fed as their own source suggests."
)


@dataclass(frozen=True, kw_only=True)
class SmokeOptions(ElsewhereOptions):
    """What the options of `smoke` were set to."""

    names: NamesArgument = None
    cache: KeepingOption = True
    target: TargetAroundOption = None


def _smoke(options: SmokeOptions) -> None:
    from validation.smoke.running import run_smoke

    run_smoke(options)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    add_command(
        app,
        SmokeOptions,
        name="smoke",
        summary=_SUMMARY,
        examples_of=[
            "astrobio-audit smoke",
            "astrobio-audit smoke mypackage/nets.py::Classifier",
            "astrobio-audit smoke --subject my_model --json",
        ],
        run=_smoke,
    )
