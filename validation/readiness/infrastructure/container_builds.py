"""The container of a project builds, where the user asks for it and docker is there."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from audit.judgement import Judgement, skipped
from audit.plan import Run
from audit.results import Check, Severity
from validation.mutation.running import run_limited
from validation.readiness.infrastructure.container_files import dockerfiles_of
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="infrastructure.container_builds",
    title="The container builds",
    proves="`docker build` of every Dockerfile, with the project's root as its context, ended with exit code 0. It "
    "runs what the Dockerfile says, so it is done with --build-container alone.",
    defect="a RUN instruction that fails",
    severity=Severity.MINOR,
)
_TIMEOUT_S = 3600.0
_MEMORY_BYTES = 4 * 2**30  # of docker's client: what is built runs in a service of its own


def judge(project: Project, run: Run, *, builds: bool) -> Sequence[Judgement]:
    """Build each container; no image is kept under a name."""
    paths = dockerfiles_of(project)
    docker = shutil.which("docker")
    if paths and not builds:
        return [skipped("not asked for: --build-container builds it, which runs what the Dockerfile says")]
    if paths and (docker is None or not _answers(docker, project)):
        return [skipped("docker is not installed, or its service does not answer")]
    wrong = []
    for path in paths:
        run.tell(f"{CHECK.id}: {path}")
        ended = _run(docker or "", ("build", "--quiet", "--file", path, "."), project, _TIMEOUT_S)
        if ended[0] != 0:
            wrong.append(Place(path, 0, f"`docker build` ended with {ended[0]}: {' '.join(ended[1].split())[-300:]}"))
    return judge_places(
        project,
        wrong,
        looked_at=len(paths),
        unit="containers",
        origin="whoever follows the project's instructions builds it",
        fix="mend the Dockerfile; `docker build .` shows the same",
        nothing="the project has no Dockerfile",
    )


def _answers(docker: str, project: Project) -> bool:
    return _run(docker, ("info",), project, 30.0)[0] == 0


def _run(docker: str, arguments: Sequence[str], project: Project, timeout_s: float) -> tuple[int, str]:
    ended = run_limited(
        [docker, *arguments],
        cwd=Path(project.root),
        env=os.environ,
        timeout_s=timeout_s,
        memory_bytes=_MEMORY_BYTES,
    )
    return (1, f"it took more than {timeout_s:g} s") if ended.is_over_time else (ended.status, ended.tail)
