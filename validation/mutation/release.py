"""The target's own tests as a part of a release: judged where the configuration says what runs them."""

from contextlib import ExitStack
from dataclasses import replace

from audit.collected import Collected
from audit.errors import UsageError
from audit.judgement import error, not_applicable
from audit.mutation.registry import all_operators
from audit.plan import Group, Judge, Plan, PlannedCheck
from audit.report.undeclared import UNDECLARED
from audit.results import Subject
from audit.subjects import package_subject
from validation.mutation.kept import KeptVerdicts, digests_of
from validation.mutation.plan import mutants_to_try, plan_of
from validation.mutation.run import working_folder
from validation.mutation.suite import Suite
from validation.mutation.tests_command import read_command
from validation.mutation.trial import CHECK, Trials

UNCONFIGURED = (
    f'{UNDECLARED}it is not configured what runs the tests, so none was run: write tests = "pytest tests" in '
    "[tool.astrobio-audit], and mistakes are made in a copy to see whether they notice"
)


def plan_tests(collected: Collected, *, during: ExitStack, keeps: bool) -> Plan:
    """Plan the trial of every mutant on the target's own tests, as many as there is time for.

    Nothing is run and nothing copied before the first of them is tried.

    Args:
        collected: facts about the target.
        during: closed when the run is over; the copies are removed then.
        keeps: whether what was found of each mutant is kept and taken over, as by `mutate`.
    """
    subject = package_subject(collected)
    settings = collected.target.settings
    if settings.tests is None:
        return (_one(subject, lambda run: not_applicable(UNCONFIGURED)),)
    if collected.only and not any(each.partition(".")[0] == CHECK.id.partition(".")[0] for each in collected.only):
        return ()  # what to mutate takes seconds to find, and nobody has asked
    target = collected.target
    try:
        command = read_command(settings.tests, target)
        pairs = mutants_to_try(collected, all_operators(), training=True)
        folder = during.enter_context(working_folder())
        suite = Suite(target=target, command=command, folder=folder, workers=min(target.workers, len(pairs)))
        digests = digests_of(target.root, suite.copies.names)
    except UsageError as problem:
        reason = str(problem)
        return (_one(subject, lambda run: error(reason)),)
    kept = KeptVerdicts(target, command.text, digests, enabled=keeps)
    trials = Trials(suite=suite, kept=kept, time_limit_s=settings.tests_limit_s)
    flags = ("--tests", command.text)
    return tuple(
        replace(group, planned=tuple(replace(planned, flags=flags) for planned in group.planned))
        for group in plan_of(CHECK, pairs, lambda mutant, run: trials.judge(mutant))
    )


def _one(subject: Subject, judge: Judge) -> Group:
    return Group(subject=subject, planned=(PlannedCheck(check=CHECK, subject=subject, judge=judge),))
