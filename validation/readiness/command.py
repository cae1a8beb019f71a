"""Adds `astrobio-audit readiness`."""

import functools
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from audit.options import ElsewhereOptions, OutputOption, add_command
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
    run_documents: RunDocumentsOption = False
    build_container: BuildContainerOption = False
    slow: SlowOption = False


def _readiness(options: ReadinessOptions) -> None:
    from audit.attention.plan import plan_attention
    from audit.command import run_area
    from audit.static.checks import plan_static
    from audit.static.rules.checks import plan_rules
    from validation.claims.plan import plan_released_claims
    from validation.mutation.release import plan_tests
    from validation.readiness.areas import plan_areas
    from validation.smoke.plan import plan_smoke
    from validation.training.plan import planner_of
    from validation.training.settings import BRIEF, TrainingSettings

    beside_code = functools.partial(
        plan_areas, runs_documents=options.run_documents, builds_container=options.build_container
    )
    training = TrainingSettings() if options.slow else BRIEF
    with ExitStack() as during:
        run_area(
            options,
            command="readiness",
            planners=[
                plan_static,
                plan_rules,
                plan_smoke,
                plan_attention,
                planner_of(training),
                functools.partial(plan_released_claims, slow=options.slow),
                functools.partial(plan_tests, during=during, keeps=options.cache),
                beside_code,
            ],
            release=True,
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
        ],
        run=_readiness,
    )
    register_parts(app)
