"""Which checks are carried out on the documents of a project."""

import functools

from audit.collected import Collected
from audit.plan import Plan
from audit.profiles import Profile
from validation.readiness.documents import commands_parse, commands_run, figures_backed, links_lead, own_commands_parse
from validation.readiness.documents.starting import FLAG
from validation.readiness.planning import ProjectCheck, plan_project
from validation.readiness.project import Project


def plan_documents(collected: Collected, project: Project, *, runs: bool, profile: Profile | None = None) -> Plan:
    """Plan the checks of all documents; `runs` says whether commands that they mark so are run.

    No figure rests on a claim that needs hardware outside of the `profile`.
    """
    flags = (FLAG,) if runs else ()
    claims, target = collected.target.settings.claims, collected.target
    checks = [
        ProjectCheck(check=commands_parse.CHECK, judge=commands_parse.judge),
        ProjectCheck(check=commands_run.CHECK, judge=functools.partial(commands_run.judge, runs=runs), flags=flags),
        ProjectCheck(
            check=figures_backed.CHECK,
            judge=functools.partial(figures_backed.judge, claims, target, profile=profile),
            flags=("--profile", profile) if profile else (),
        ),
        ProjectCheck(check=links_lead.CHECK, judge=links_lead.judge),
    ]
    if runs:  # without, the sources alone say of the project's own commands what `commands_parse` says
        checks.append(ProjectCheck(check=own_commands_parse.CHECK, judge=own_commands_parse.judge, flags=flags))
    return plan_project(collected, project, checks)
