"""Which training checks should be carried out on a target."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from audit.catalog import Catalog, SpecEntry, TrainingEntry
from audit.collected import Collected
from audit.judgement import Judgement, skipped
from audit.plan import Group, Plan, PlannedCheck, Run
from audit.results import Subject, SubjectKind
from audit.subjects import declared_subject, package_subject
from validation.training.checks import declared
from validation.training.settings import BRIEF_MODEL_STEPS, TrainingSettings

if TYPE_CHECKING:
    from validation.training.checks_by_kind import TrainingCheck
    from validation.training.trainee import Trainee


def plan_training(collected: Collected, settings: TrainingSettings | None = None) -> Plan:
    """Plan a run of every entry of MODELS and TRAINING, and the checks of each command that TRAINING declares.

    Where files of the sources train and the specs define no TRAINING, the checks of a command are planned on the
    package and wait for one. What is brief leaves out the models of a package that declares trainings, for `smoke`
    trains each for some steps; and of what is done to a command all but running it twice, which it reports as skipped.
    """
    from validation.training.checks_by_kind import COMMAND_CHECKS, RUN_CHECKS

    settings = settings or TrainingSettings()
    catalog = collected.catalog
    package = package_subject(collected)
    files = _files_that_train(collected)
    planned = [
        PlannedCheck(check=declared.CHECK, subject=package, judge=lambda run: declared.judge(catalog)),
        PlannedCheck(
            check=declared.TRAINER_CHECK, subject=package, judge=lambda run: declared.judge_trainer(catalog, files)
        ),
    ]
    models = catalog.models or {} if isinstance(catalog, Catalog) else {}
    training = catalog.training if isinstance(catalog, Catalog) else None
    if not models and not training:
        planned += _waiting(RUN_CHECKS, package, requires=declared.CHECK.id)
    if training is None and (files or not isinstance(catalog, Catalog)):
        planned += _waiting(COMMAND_CHECKS, package, requires=declared.TRAINER_CHECK.id)
    groups = [Group(subject=package, planned=tuple(planned))]
    of_models = replace(settings, steps=BRIEF_MODEL_STEPS) if settings.brief else settings
    for name, entry in sorted(models.items()) if not (settings.brief and training) else ():
        groups.append(_of(collected, "MODELS", name, entry, of_models))
    for name, trained in sorted((training or {}).items()):
        groups.append(_of(collected, "TRAINING", name, trained, settings))
    return tuple(groups)


def _files_that_train(collected: Collected) -> list[str]:
    facts = collected.analysis.records.by_path("facts")
    return sorted(collected.rooted(path) for path, each in facts.items() if each.training)


def _waiting(checks: "tuple[TrainingCheck, ...]", package: Subject, *, requires: str) -> Iterator[PlannedCheck]:
    for each in checks:
        yield replace(PlannedCheck.waiting(each.check, package, requires=requires), gpus=each.gpus)


def _of(collected: Collected, section: str, name: str, entry: SpecEntry, settings: TrainingSettings) -> Group:
    group = _group(collected, section, name, entry, settings)
    if not settings.brief:
        return group
    return replace(group, whole=_group(collected, section, name, entry, TrainingSettings()))


def _group(collected: Collected, section: str, name: str, entry: SpecEntry, settings: TrainingSettings) -> Group:
    from validation.training.trainee import Trainee

    specs = collected.target.settings.specs
    assert specs is not None
    kind = SubjectKind.TRAINING if section == "TRAINING" else SubjectKind.MODEL
    subject = declared_subject(collected, name, entry, kind)
    trainee = Trainee(name=name, specs=specs, section=section, entry=entry, subject=subject, settings=settings)
    return Group(subject=subject, planned=tuple(_planned(trainee, each) for each in _checks(entry)), is_kept=True)


def _checks(entry: SpecEntry) -> "Iterator[TrainingCheck]":
    from validation.training.checks_by_kind import (
        COMMAND_CHECKS,
        COMMAND_RANKS_CHECK,
        OPTIMIZED_CHECK,
        RUN_CHECKS,
        SPEED_CHECK,
    )

    yield from RUN_CHECKS
    if isinstance(entry, TrainingEntry):
        if entry.problem or entry.has_optimizer or entry.frozen is not None:
            yield OPTIMIZED_CHECK
        if entry.min_steps_per_s is not None:
            yield SPEED_CHECK
        yield from COMMAND_CHECKS
        if entry.has_ranks:
            yield COMMAND_RANKS_CHECK


def _planned(trainee: "Trainee", each: "TrainingCheck") -> PlannedCheck:
    from validation.training.checks.command_repeats import CHECK as FIRST_OF_COMMAND
    from validation.training.checks.command_repeats import without_command

    def judge(run: Run) -> Judgement:
        entry = trainee.entry
        lacks_command = isinstance(entry, TrainingEntry) and not entry.has_command and not entry.problem
        if lacks_command and each.check.id == FIRST_OF_COMMAND.id:
            return without_command(trainee)
        return each.judge(trainee, run)

    if trainee.settings.brief and each.is_long:
        left_out = skipped(f"not run: slow; `astrobio-audit train --subject {trainee.name}` runs it")
        return PlannedCheck(check=each.check, subject=trainee.subject, judge=lambda run: left_out)
    return PlannedCheck(
        check=each.check,
        subject=trainee.subject,
        judge=judge,
        requires=each.requires,
        gpus=each.gpus,
        flags=trainee.settings.flags,
    )


def planner_of(settings: TrainingSettings) -> "functools.partial[Plan]":
    """Return the planner for what the options were set to."""
    return functools.partial(plan_training, settings=settings)
