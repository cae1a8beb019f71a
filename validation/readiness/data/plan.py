"""Which checks are carried out on the data files of a project."""

from audit.collected import Collected
from audit.plan import Plan
from validation.readiness.data import fetched, well_formed
from validation.readiness.planning import ProjectCheck, plan_project
from validation.readiness.project import Project

CHECKS = (
    ProjectCheck(check=fetched.CHECK, judge=fetched.judge),
    ProjectCheck(check=well_formed.CHECK, judge=well_formed.judge),
)


def plan_data(collected: Collected, project: Project) -> Plan:
    """Plan the checks of all data files."""
    return plan_project(collected, project, CHECKS)
