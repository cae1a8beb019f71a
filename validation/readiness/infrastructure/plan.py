"""Which checks are carried out on what builds, checks and starts a project."""

import functools

from audit.collected import Collected
from audit.plan import Plan
from validation.readiness.infrastructure import (
    commands_exist,
    container_builds,
    container_files,
    entry_points,
    hooks_exist,
    scripts_parse,
    workflows_parse,
)
from validation.readiness.planning import ProjectCheck, plan_project
from validation.readiness.project import Project


def plan_infrastructure(collected: Collected, project: Project, *, builds: bool) -> Plan:
    """Plan the checks; `builds` says whether the container is built."""
    simple = (workflows_parse, commands_exist, scripts_parse, entry_points, hooks_exist, container_files)
    checks = [ProjectCheck(check=module.CHECK, judge=module.judge) for module in simple]
    checks.append(
        ProjectCheck(
            check=container_builds.CHECK,
            judge=functools.partial(container_builds.judge, builds=builds),
            flags=("--build-container",) if builds else (),
        )
    )
    return plan_project(collected, project, checks)
