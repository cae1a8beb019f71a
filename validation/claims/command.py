"""Adds `astrobio-audit claims`."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from audit.errors import UsageError
from audit.options import KeepingOption, Options, add_command

if TYPE_CHECKING:
    from audit.session import Planner
    from audit.target import Target

# Without the variable, which says how many there are at most where there can be several.
OneWorkerOption = Annotated[
    int | None, typer.Option("--workers", "-j", metavar="1", help="One: claims are measured one after another.")
]
SlowOption = Annotated[bool, typer.Option("--slow", help="Measure the claims that take long too.")]


@dataclass(frozen=True, kw_only=True)
class ClaimsOptions(Options):
    """What the options of `claims` were set to."""

    workers: OneWorkerOption = None
    cache: KeepingOption = True
    slow: SlowOption = False


def _claims(options: ClaimsOptions) -> None:
    from audit.command import run_area

    if options.workers not in (None, 1):
        raise UsageError("--workers: claims are measured one after another, for one would slow down another")
    run_area(
        options,
        command="claims",
        planners=lambda: [_planner(slow=options.slow)],
        prepared=alone,
        keeps_results=True,
    )


def _planner(*, slow: bool) -> "Planner":
    from validation.claims.plan import plan_claims

    return functools.partial(plan_claims, slow=slow)


def alone(target: "Target") -> "Target":
    """Return the target with one process at a time."""
    return target.model_copy(update={"settings": target.settings.model_copy(update={"workers": 1})})


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    add_command(
        app,
        ClaimsOptions,
        name="claims",
        summary="Measure what the target's owners publish of it, and verify or refute it with an interval. Claims are "
        "declared in its pyproject.toml.",
        examples_of=[
            "astrobio-audit claims",
            "astrobio-audit claims --slow --output build/claims",
            "astrobio-audit claims --subject flash_is_twice_as_fast",
        ],
        run=_claims,
    )
