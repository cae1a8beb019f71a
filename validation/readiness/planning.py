"""Plans the checks of an area that look at a project as a whole."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.collected import Collected
from audit.judgement import Judgement
from audit.plan import Group, Plan, PlannedCheck, Run
from audit.results import Check
from audit.subjects import package_subject
from validation.readiness.project import Project

ProjectJudge = Callable[[Project, Run], Judgement | Sequence[Judgement]]


@dataclass(frozen=True, kw_only=True)
class ProjectCheck:
    """A check and how it judges a project; `flags` are the options of `readiness` that repeat it so."""

    check: Check
    judge: ProjectJudge
    flags: tuple[str, ...] = ()


def plan_project(collected: Collected, project: Project, checks: Sequence[ProjectCheck]) -> Plan:
    """Plan the checks of one area on the package; files are read when the first of them is carried out."""
    package = package_subject(collected)

    def judge(each: ProjectCheck, run: Run) -> Judgement | Sequence[Judgement]:
        # What these look at is no single file, so nothing tells whether a kept result still holds.
        run.probe.read.is_complete = False
        return each.judge(project, run)

    planned = tuple(
        PlannedCheck(check=each.check, subject=package, judge=functools.partial(judge, each), flags=each.flags)
        for each in checks
    )
    return (Group(subject=package, planned=planned),)
