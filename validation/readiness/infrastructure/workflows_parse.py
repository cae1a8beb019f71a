"""The workflows of a project can be read by what runs them."""

from collections.abc import Iterator, Sequence

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity
from validation.readiness.infrastructure.workflows import local_actions_of, problem_of, workflows_of
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project, normalised

CHECK = Check(
    id="infrastructure.workflows_parse",
    title="Workflows parse",
    proves="Every workflow of the project is YAML; those of GitHub have `on`, jobs with a machine and steps, need "
    "only jobs that they define, and use only actions of the project that are there.",
    defect="a step that is indented wrongly",
    severity=Severity.MAJOR,
)


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Read each workflow."""
    paths = workflows_of(project)
    return judge_places(
        project,
        _places(project, paths),
        looked_at=len(paths),
        unit="workflows",
        origin="a workflow that cannot be read runs nothing, and no pull request shows it",
        fix="mend the file; the service's own page of the workflow shows the same",
        nothing="the project has no workflow",
    )


def _places(project: Project, paths: Sequence[str]) -> Iterator[Place]:
    for path in paths:
        if problem := problem_of(project, path):
            yield Place(path, *problem)
            continue
        for action in local_actions_of(project, path):
            place = normalised(action)
            names = ("action.yml", "action.yaml", "Dockerfile")
            if not place.endswith((".yml", ".yaml")) and any(project.exists(f"{place}/{name}") for name in names):
                continue
            if not (place.endswith((".yml", ".yaml")) and project.exists(place)):
                yield Place(path, 0, f"the workflow uses {action[:200]}, which is not there")
