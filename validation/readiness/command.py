"""Adds `astrobio-audit readiness`."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from audit.options import ElsewhereOptions, KeepingOption, OutputOption, ProfileOption, add_command
from validation.parts.cli import register as register_parts

LATEST = Path("reports/latest")
RunDocumentsOption = Annotated[
    bool, typer.Option("--run-documents", help="Run the commands that documents mark with `astrobio-audit: run`.")
]
BuildContainerOption = Annotated[bool, typer.Option("--build-container", help="Build the project's Dockerfiles.")]
SlowOption = Annotated[
    bool, typer.Option("--slow", help="Train as long as `train` does, and measure the claims that take long too.")
]


@dataclass(frozen=True, kw_only=True)
class ReadinessOptions(ElsewhereOptions):
    """What the options of `readiness` were set to."""

    output: OutputOption = LATEST
    cache: KeepingOption = True
    run_documents: RunDocumentsOption = False
    build_container: BuildContainerOption = False
    slow: SlowOption = False
    profile: ProfileOption = None


def _readiness(options: ReadinessOptions) -> None:
    from audit.command import run_area
    from validation.readiness.planners import release_planners

    with ExitStack() as during:
        run_area(
            options,
            command="readiness",
            planners=lambda: release_planners(
                during,
                slow=options.slow,
                runs_documents=options.run_documents,
                builds_container=options.build_container,
                keeps=options.cache,
                profile=options.profile,
            ),
            release=True,
            profile=options.profile,
            needs_inventory=True,
            keeps_results=True,
        )


def register(app: typer.Typer) -> None:
    """Add the command to `app`, and those that carry it out in parts."""
    add_command(
        app,
        ReadinessOptions,
        name="readiness",
        summary="Run every area through one plan and write the readiness report with its verdict.",
        examples_of=[
            "astrobio-audit readiness",
            "astrobio-audit readiness --target path/to/project --output build/report",
            "astrobio-audit readiness --only attention",
            "astrobio-audit readiness --profile cpu",
        ],
        run=_readiness,
    )
    register_parts(app)
