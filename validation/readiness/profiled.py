"""Fits the plan of a release to a profile: what needs more hardware is planned to be told, and not to be judged."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from audit.catalog import Catalog
from audit.collected import Collected
from audit.execute import open_probe
from audit.judgement import Judgement, skipped
from audit.plan import Group, Judge, Plan, PlannedCheck, Run
from audit.profiles import Profile
from audit.results import Subject, SubjectKind
from audit.session import Planner
from audit.subjects import package_subject
from validation.smoke.checks import device

GPU = "cuda"
_AREAS_ON_A_GPU = ("attention", "train")
_ON_A_GPU_ALONE = "attention.standin_agreement"  # its module loads torch


def profiled(planners: Sequence[Planner], profile: Profile) -> list[Planner]:
    """Return planners of the same, for a profile.

    With GPUs in it, attention is judged and models are trained on one, and devices compute only where there are as many
    GPUs: a machine that has none gives no verdict on any.
    """
    found: list[Planner] = [functools.partial(_planned, planner, profile) for planner in planners]
    return [*found, functools.partial(_plan_devices, profile)] if profile.gpus else found


def _planned(planner: Planner, profile: Profile, collected: Collected) -> Plan:
    if profile.gpus and collected.probe is None:
        collected.probe = open_probe(collected.target)  # so that the report names the GPUs
    groups = (_within(group, profile, collected) for group in planner(collected))
    return tuple(group for group in groups if group.planned)


def _within(group: Group, profile: Profile, collected: Collected) -> Group:
    planned = tuple(_fitted(group.planned, profile, collected))
    is_on_gpu = any(each.flags[-2:] == _FLAGS for each in planned)
    return replace(
        group,
        planned=planned,
        whole=group.whole and _within(group.whole, profile, collected),
        device=GPU if is_on_gpu else group.device,
    )


_FLAGS = ("--device", GPU)


def _fitted(planned: Sequence[PlannedCheck], profile: Profile, collected: Collected) -> Iterator[PlannedCheck]:
    for each in planned:
        if each.check.id == device.CHECK.id and each.subject.kind is SubjectKind.PACKAGE:
            if not profile.gpus:  # else it is planned by itself, for where there must be GPUs
                yield _devices(each.subject, profile)
            continue
        gpus = _gpus_of(each, collected)
        if gpus and each.subject.kind is SubjectKind.MODEL and device.CHECK.id not in (each.check.id, *each.requires):
            each = replace(each, judge=functools.partial(_where_gpus_are, each.judge, gpus))
        if not profile.holds(gpus):
            yield replace(each, outside=profile.outside(gpus), gpus=0)
        elif profile.gpus and _is_carried_out_on_a_gpu(each):
            yield replace(each, gpus=max(1, gpus), flags=(*each.flags, *_FLAGS))
        else:
            yield replace(each, gpus=gpus)


def _where_gpus_are(judge: Judge, gpus: int, run: Run) -> Judgement | Sequence[Judgement]:
    """Judge where there are so many GPUs: elsewhere a model that needs one could only fail."""
    devices = run.probe.call("environment").get("devices")
    found = len(devices) if isinstance(devices, list) else 0
    if found >= gpus:
        return judge(run)
    run.probe.read.is_complete = False  # nothing tells a later run when a GPU is there
    return skipped(f"needs {'a GPU' if gpus == 1 else f'{gpus} GPUs'}: torch sees {found or 'none'}")


def _is_carried_out_on_a_gpu(planned: PlannedCheck) -> bool:
    """Whether a check judges attention or trains, and not what the specs say or which plug-ins load."""
    return planned.check.area in _AREAS_ON_A_GPU and planned.subject.kind is not SubjectKind.PACKAGE


def _gpus_of(planned: PlannedCheck, collected: Collected) -> int:
    """Return how many GPUs it takes to carry out a check: of a model that needs one, every check does."""
    if planned.check.id == _ON_A_GPU_ALONE:
        return max(1, planned.gpus)
    if planned.subject.kind is SubjectKind.MODEL and collected.target.settings.specs is not None:
        catalog = collected.catalog
        entry = (catalog.models or {}).get(planned.subject.name) if isinstance(catalog, Catalog) else None
        if entry and entry.device == GPU:
            return max(1, planned.gpus)
    return planned.gpus


def _plan_devices(profile: Profile, collected: Collected) -> Plan:
    package = package_subject(collected)
    return (Group(subject=package, planned=(_devices(package, profile),)),)


def _devices(package: Subject, profile: Profile) -> PlannedCheck:
    """Plan that the devices compute that the profile has: for CPUs it does not matter what a GPU does."""
    return PlannedCheck(
        check=device.CHECK,
        subject=package,
        judge=functools.partial(device.judge, gpus=profile.gpus),
        gpus=profile.gpus,
        command="readiness",
        flags=("--profile", profile),
    )
