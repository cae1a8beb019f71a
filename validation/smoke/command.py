"""Adds `astrobio-audit smoke`."""

import typer

from audit.options import ElsewhereOptions, add_command


def _smoke(options: ElsewhereOptions) -> None:
    from audit.command import run_area
    from validation.smoke.plan import plan_smoke

    run_area(options, command="smoke", planners=[plan_smoke])


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    add_command(
        app,
        ElsewhereOptions,
        name="smoke",
        summary="Import every module; build, run, differentiate, step, save and load every registered model.",
        examples_of=["astrobio-audit smoke", "astrobio-audit smoke --subject my_model --json"],
        run=_smoke,
    )
