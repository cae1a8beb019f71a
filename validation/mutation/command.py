"""Adds `astrobio-audit mutate` and `selftest`. Their bodies are imported when they run, so that `--help` stays fast."""

from dataclasses import dataclass
from typing import Annotated

import typer

from audit.options import Options, add_command

TestsOption = Annotated[
    str | None,
    typer.Option(
        "--tests",
        metavar="COMMAND",
        help="What runs your tests, in the target's folder and without a shell. Of pytest single tests are known.  "
        "[default: what `tests` in the configuration says, else pytest]",
        show_default=False,
    ),
]
OnlyOperatorOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="OPERATOR", help="Make these mistakes only; may be repeated. Gives no verdict."),
]
MutantOption = Annotated[
    list[str] | None,
    typer.Option(
        "--subject",
        metavar="MUTANT",
        help="Try this mutant only, by the name in a report; may be repeated. Gives no verdict.",
    ),
]
MaxMutantsOption = Annotated[
    int | None,
    typer.Option("--max-mutants", metavar="N", min=1, help="Try so many, chosen by the seed. Gives no verdict."),
]
TimeLimitOption = Annotated[
    float | None,
    typer.Option("--time-limit", metavar="SECONDS", min=0.0, help="Begin no mutant after this time."),
]
KeepingOption = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Keep what was found of each mutant, in ASTROBIO_AUDIT_CACHE or ~/.cache: a run that was stopped goes on "
        "where it was, and what no change concerns is not tried again.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class SelftestOptions(Options):
    """What the options of `selftest` were set to."""

    only: OnlyOperatorOption = None
    subject: MutantOption = None
    max_mutants: MaxMutantsOption = None
    time_limit: TimeLimitOption = None
    cache: KeepingOption = True


@dataclass(frozen=True, kw_only=True)
class MutateOptions(SelftestOptions):
    """What the options of `mutate` were set to."""

    tests: TestsOption = None


def _mutate(options: MutateOptions) -> None:
    from validation.mutation.run import run_mutate

    run_mutate(options)


def _selftest(options: SelftestOptions) -> None:
    from validation.mutation.selftest import run_selftest

    run_selftest(options)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    add_command(
        app,
        MutateOptions,
        name="mutate",
        summary="Make one mistake at a time in a copy of the target's attention, models and training code, run your "
        "own tests on each, and report those that no test notices. The score is the share that is noticed.",
        examples_of=[
            'astrobio-audit mutate --tests "pytest tests"',
            'astrobio-audit mutate --tests "pytest tests" --only flip_mask --only shift_causal',
            'astrobio-audit mutate --tests "make test" --time-limit 1800',
        ],
        run=_mutate,
    )
    add_command(
        app,
        SelftestOptions,
        name="selftest",
        summary="Make the same mistakes in a copy of the target's attention and models, and report those that the "
        "areas `attention` and `smoke` of this audit do not find.",
        examples_of=["astrobio-audit selftest", "astrobio-audit selftest --max-mutants 10 --seed 1"],
        run=_selftest,
    )
