"""Adds `astrobio-audit plan` and `run`. Their bodies are imported when they run, so that `--help` stays fast."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audit.options import (
    CacheOption,
    ConfigOption,
    FormatOption,
    JsonOption,
    PackageOption,
    ProfileOption,
    PythonOption,
    QuietOption,
    SeedOption,
    TargetOption,
    WorkersOption,
    add_command,
    named_path,
)

LATEST = Path("reports/latest")


class Planned(StrEnum):
    """The commands that can be carried out in parts."""

    READINESS = "readiness"
    SMOKE = "smoke"
    ATTENTION = "attention"
    STATIC = "static"


class Needs(StrEnum):
    """The part of a plan that `--needs` takes."""

    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What the options of `plan` were set to."""

    target: TargetOption = None
    package: PackageOption = None
    python: PythonOption = None
    config: ConfigOption = None
    seed: SeedOption = None
    command: Annotated[Planned, typer.Option("--command", help="What is planned.")] = Planned.READINESS
    profile: ProfileOption = None
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PLAN.json", parser=named_path, help="Where the plan is written."),
    ] = LATEST / "plan.json"
    as_json: Annotated[bool, typer.Option("--json", help="Write the plan to standard output, and no file.")] = False
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a plan and leave.")] = False
    quiet: QuietOption = False


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the options of `run` were set to."""

    plan: Annotated[Path, typer.Argument(metavar="PLAN.json", help="What `plan` has written.")]
    target: TargetOption = None
    python: PythonOption = None
    config: ConfigOption = None
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="i/n", help="The i-th of n disjoint parts; together they are all.")
    ] = None
    needs: Annotated[Needs | None, typer.Option("--needs", help="What needs a GPU, or what needs none.")] = None
    gateway: Annotated[
        list[str] | None,
        typer.Option(
            "--gateway",
            metavar="SPEC",
            help="Carry it out on popen, popen//python=PATH or ssh=HOST//python=PATH//chdir=DIR, which need this "
            "toolkit and a checkout at the same commit; may be repeated, and 4*popen are four processes.",
        ),
    ] = None
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", parser=named_path, help="Write the part as JSON and Markdown here."
        ),
    ] = LATEST
    as_json: JsonOption = False
    format: FormatOption = None
    quiet: QuietOption = False
    workers: WorkersOption = None
    cache: CacheOption = True


def _plan(options: PlanOptions) -> None:
    from validation.parts.command import make_plan

    make_plan(options)


def _run(options: RunOptions) -> None:
    from validation.parts.command import run_part

    run_part(options)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    add_command(
        app,
        PlanOptions,
        name="plan",
        summary="Write down which checks a command should carry out, what they need, and a digest of all that. Other "
        "machines carry out parts of the plan with `run`, and `report merge` puts these together.",
        examples_of=["astrobio-audit plan", "astrobio-audit plan --command smoke --output build/plan.json"],
        run=_plan,
    )
    add_command(
        app,
        RunOptions,
        name="run",
        summary="Carry out a part of a plan, here or on other machines. Refuses a target whose plan is another by now. "
        "A part has no verdict: `report merge` gives it.",
        examples_of=[
            "astrobio-audit run reports/latest/plan.json --shard 1/4 --output parts",
            "astrobio-audit run reports/latest/plan.json --needs gpu --output parts",
            "astrobio-audit run reports/latest/plan.json --gateway 2*popen --gateway ssh=gpu-box//chdir=/srv/zoo",
        ],
        run=_run,
    )
