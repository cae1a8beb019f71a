"""The course of `astrobio-audit mutate`, from its options to its exit code."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from audit.collected import Collected
from audit.command import conduct_shown, deliver, prepare_output
from audit.plan import Plan
from audit.scratch import scratch_folder
from audit.session import Request
from audit.target import Target
from validation.mutation.command import MutateOptions, SelftestOptions
from validation.mutation.kept import KeptVerdicts, digests_of
from validation.mutation.plan import Pair, mutants_to_try, plan_of, sampled, split_only
from validation.mutation.suite import Suite
from validation.mutation.tests_command import read_command
from validation.mutation.trial import CHECK, Trials


def load_target(options: SelftestOptions) -> Target:
    """Return the target of a command.

    Raises:
        UsageError: the options or the configuration need correcting.
    """
    return Target.load(
        options.folder,
        package=options.package,
        python=options.python,
        seed=options.seed,
        workers=options.workers,
        notebooks=options.notebooks,
        probe=options.probe,
        config=options.config,
    )


def limits_of(options: SelftestOptions, chosen: Sequence[Pair], of: int) -> list[str]:
    """Return in words what keeps a run from being a whole one."""
    operators, _ = split_only(options.only or ())
    named = [operator.name for operator in operators if operator.name in (options.only or ())]
    limits = [f"limited to {' '.join(f'--only {name}' for name in named)}"] if named else []
    if len(chosen) < of:
        limits.append(f"{len(chosen)} of {of} mutants, chosen by the seed {options.seed or 0}")
    return limits


@contextmanager
def working_folder() -> Iterator[Path]:
    """Lend a folder for copies, which is removed afterwards."""
    with scratch_folder("mutants") as folder:
        yield Path(folder).resolve()


def run_mutate(options: MutateOptions) -> None:
    """Try the mutants of the target on its own tests.

    Raises:
        UsageError: the options or the configuration need correcting, no test is found, or there is nothing to mutate.
        typer.Exit: always at the end, with the report's exit code.
    """
    operators, checks = split_only(options.only or ())
    target = load_target(options)
    text = options.tests if options.tests is not None else target.settings.tests or "pytest"
    target = target.model_copy(update={"flags": (*target.flags, "--tests", text)})
    command = read_command(text, target)
    looked = Collected(target, cache=options.cache)
    try:
        pairs = mutants_to_try(looked, operators, training=True)
    finally:
        looked.close()
    chosen = sampled(pairs, options.max_mutants, target.settings.seed)
    prepare_output(options)
    with working_folder() as folder:
        suite = Suite(target=target, command=command, folder=folder, workers=min(target.workers, len(chosen)))
        suite.require_tests()
        kept = KeptVerdicts(target, command.text, digests_of(target.root, suite.copies.names), enabled=options.cache)
        trials = Trials(suite=suite, kept=kept, time_limit_s=options.time_limit)

        def plan(collected: Collected) -> Plan:
            assert collected.analysis.digest  # of what the report is about
            return plan_of(CHECK, chosen, lambda mutant, run: trials.judge(mutant))

        request = Request(
            command="mutate",
            planners=[plan],
            only=checks,
            subjects=options.subject or (),
            cache=options.cache,
            limits=limits_of(options, chosen, len(pairs)),
        )
        report = conduct_shown(target, request, quiet=options.quiet)
    deliver(report, form=options.form, quiet=options.quiet, output=options.output)
