"""Adds `astrobio-audit readiness`."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from audit.options import Options, OutputOption, add_command

LATEST = Path("reports/latest")
RunDocumentsOption = Annotated[
    bool, typer.Option("--run-documents", help="Run the commands that documents mark with `astrobio-audit: run`.")
]
BuildContainerOption = Annotated[bool, typer.Option("--build-container", help="Build the project's Dockerfiles.")]


@dataclass(frozen=True, kw_only=True)
class ReadinessOptions(Options):
    """What the options of `readiness` were set to."""

    output: OutputOption = LATEST
    run_documents: RunDocumentsOption = False
    build_container: BuildContainerOption = False


def _readiness(options: ReadinessOptions) -> None:
    from audit.attention.plan import plan_attention
    from audit.command import run_area
    from audit.static.checks import plan_static
    from audit.static.rules.checks import plan_rules
    from validation.readiness.areas import plan_areas
    from validation.smoke.plan import plan_smoke

    beside_code = functools.partial(
        plan_areas, runs_documents=options.run_documents, builds_container=options.build_container
    )
    run_area(
        options,
        command="readiness",
        planners=[plan_static, plan_rules, plan_smoke, plan_attention, beside_code],
        release=True,
        needs_inventory=True,
    )


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    add_command(
        app,
        ReadinessOptions,
        name="readiness",
        summary="Run every area through one plan and write the readiness report with its verdict.",
        examples_of=[
            "astrobio-audit readiness",
            "astrobio-audit readiness --target path/to/project --output build/report",
            "astrobio-audit readiness --only attention",
        ],
        run=_readiness,
    )
