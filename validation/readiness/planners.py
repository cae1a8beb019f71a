"""The areas of a readiness report, in the order in which they are planned: what takes seconds before what trains."""

import functools
from contextlib import ExitStack

from audit.profiles import Profile
from audit.session import Planner


def release_planners(
    during: ExitStack,
    *,
    slow: bool = False,
    runs_documents: bool = False,
    builds_container: bool = False,
    keeps: bool = True,
    profile: Profile | None = None,
) -> list[Planner]:
    """Return the planner of every area.

    Args:
        during: closed when everything is carried out; holds the copies in which the target's own tests run.
        slow: whether trainings and claims that take long are carried out too.
        runs_documents: whether the commands that documents mark are run.
        builds_container: whether the project's Dockerfiles are built.
        keeps: whether what earlier runs have found of the target's own tests counts.
        profile: the hardware that the release is judged for; None where everything planned counts.
    """
    from audit.attention.plan import plan_attention
    from audit.static.checks import plan_static
    from validation.claims.plan import plan_released_claims
    from validation.mutation.release import plan_tests
    from validation.readiness.areas import plan_areas
    from validation.readiness.documents.figures_backed import plan_other_rules
    from validation.readiness.profiled import profiled
    from validation.smoke.running import plan_with_or_without_specs
    from validation.training.plan import planner_of
    from validation.training.settings import BRIEF, TrainingSettings

    planners: list[Planner] = [
        plan_static,
        plan_other_rules,
        functools.partial(
            plan_areas, runs_documents=runs_documents, builds_container=builds_container, profile=profile
        ),
        plan_with_or_without_specs,
        plan_attention,
        planner_of(TrainingSettings() if slow else BRIEF),
        functools.partial(plan_released_claims, slow=slow),
        functools.partial(plan_tests, during=during, keeps=keeps),
    ]
    return profiled(planners, profile) if profile else planners
