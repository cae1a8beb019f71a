"""Which checks are carried out on the security of a project."""

import functools

from audit.collected import Collected
from audit.plan import Plan
from validation.readiness.planning import ProjectCheck, plan_project
from validation.readiness.project import Project
from validation.readiness.security import pinned, rules_hold, secrets


def plan_security(collected: Collected, project: Project) -> Plan:
    """Plan the checks."""
    return plan_project(
        collected,
        project,
        (
            ProjectCheck(check=secrets.CHECK, judge=functools.partial(secrets.judge, collected)),
            ProjectCheck(check=rules_hold.CHECK, judge=functools.partial(rules_hold.judge, collected)),
            ProjectCheck(check=pinned.CHECK, judge=pinned.judge),
        ),
    )
