"""The areas of a readiness report that look beside the code: documents, infrastructure, weights, data, security."""

from audit.collected import Collected
from audit.plan import Plan
from audit.profiles import Profile
from validation.readiness.checkpoints.plan import plan_checkpoints
from validation.readiness.data.plan import plan_data
from validation.readiness.documents.plan import plan_documents
from validation.readiness.infrastructure.plan import plan_infrastructure
from validation.readiness.project import Project
from validation.readiness.security.plan import plan_security


def plan_areas(
    collected: Collected,
    *,
    runs_documents: bool = False,
    builds_container: bool = False,
    profile: Profile | None = None,
) -> Plan:
    """Plan all five over one walk of the project.

    Args:
        collected: the facts about the target.
        runs_documents: whether commands that documents mark so are run. They are the target's word.
        builds_container: whether its container is built, which runs what the Dockerfile says.
        profile: the hardware that the release is judged for: no figure rests on a claim that needs more.
    """
    project = Project(collected)
    return (
        *plan_documents(collected, project, runs=runs_documents, profile=profile),
        *plan_infrastructure(collected, project, builds=builds_container),
        *plan_checkpoints(collected, project),
        *plan_data(collected, project),
        *plan_security(collected, project),
    )
