"""The workflows of a project, and the shell commands in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from validation.readiness.infrastructure.yaml_files import NoYaml, table, tables, yaml_of
from validation.readiness.project import Project

_GITHUB = (".github/workflows/",)
_GITLAB = (".gitlab-ci.yml", ".gitlab-ci.yaml")
_OTHERS = (
    ".circleci/config.yml",
    "azure-pipelines.yml",
    ".travis.yml",
    "appveyor.yml",
    ".drone.yml",
    "bitbucket-pipelines.yml",
)
_SCRIPTS = ("before_script", "script", "after_script")
_ACTIONS = ("action.yml", "action.yaml")
_SHELLS = ("bash", "sh", "")


@dataclass(frozen=True, slots=True)
class ShellPart:
    """A piece of shell: the file and line that it stands in, its text, and the folder that it begins in."""

    path: str
    line: int
    text: str
    folder: str = "."


def workflows_of(project: Project) -> tuple[str, ...]:
    """Return the paths of the workflows, of any service, and of the project's own actions."""
    return tuple(
        path
        for path in project.files
        if path in (*_GITLAB, *_OTHERS)
        or (path.startswith(_GITHUB) and path.endswith((".yml", ".yaml")))
        or _is_action(path)
    )


def problem_of(project: Project, path: str) -> tuple[int, str] | None:
    """Return the line and the words of what is wrong with a workflow; None where nothing is."""
    try:
        content = table(yaml_of(project, path))
    except NoYaml as problem:
        return problem.line, str(problem)
    if not content:
        return 0, "the workflow is empty, or no mapping"
    if _is_action(path):
        return _problem_of_action(content)
    return _problem_on_github(content) if path.startswith(_GITHUB) else None


def _is_action(path: str) -> bool:
    return path.rpartition("/")[2] in _ACTIONS and ("/" not in path or path.startswith((".github/", "actions/")))


def _problem_of_action(content: dict[str, Any]) -> tuple[int, str] | None:
    """Judge an action: https://docs.github.com/actions/reference/workflows-and-actions/metadata-syntax."""
    runs = table(content.get("runs"))
    if not runs.get("using"):
        return 0, "the action has no `runs` with `using`"
    if runs["using"] != "composite":
        return None
    for number, step in enumerate(tables(runs.get("steps")), start=1):
        if not {"uses", "run"} & step.keys():
            return 0, f"step {number} of the action has neither `run` nor `uses`"
        if "run" in step and "shell" not in step:
            return 0, f"step {number} of the action has `run` and no `shell`, which an action needs"
    return None


def _problem_on_github(content: dict[str, Any]) -> tuple[int, str] | None:
    """Judge by GitHub's syntax: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax."""
    if "on" not in content:
        return 0, "the workflow has no `on`: nothing starts it"
    jobs = table(content.get("jobs"))
    if not jobs:
        return 0, "the workflow has no jobs"
    for name, given in jobs.items():
        job = table(given)
        steps = job.get("steps")
        if "uses" not in job and not (isinstance(steps, list) and steps):
            return 0, f"job {name!r} has neither steps nor `uses`"
        if "uses" not in job and "runs-on" not in job:
            return 0, f"job {name!r} has no `runs-on`"
        if isinstance(steps, list):
            for number, step in enumerate(steps, start=1):
                if not {"uses", "run"} & table(step).keys():
                    return 0, f"step {number} of job {name!r} has neither `run` nor `uses`"
        needs = job.get("needs")
        for needed in [needs] if isinstance(needs, str) else needs if isinstance(needs, list) else []:
            if str(needed) not in jobs:
                return 0, f"job {name!r} needs {str(needed)!r}, which is no job of the workflow"
    return None


def local_actions_of(project: Project, path: str) -> Iterator[str]:
    """Yield the actions and workflows of the project itself that a workflow of GitHub uses."""
    for _, step in _steps(project, path):
        uses = step.get("uses")
        if isinstance(uses, str) and uses.startswith("./"):
            yield uses


def shell_of(project: Project, path: str) -> Iterator[ShellPart]:
    """Yield the shell in a workflow of GitHub or GitLab; nothing of one that is no YAML."""
    if path in _GITLAB:
        yield from _shell_of_gitlab(project, path)
        return
    for folder, step in _steps(project, path):
        text, shell = step.get("run"), step.get("shell", "")
        if isinstance(text, str) and str(shell).partition(" ")[0] in _SHELLS:
            yield ShellPart(path, _line_of(project, path, text), text, str(step.get("working-directory", folder)))


def _steps(project: Project, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        is_read = path.startswith(_GITHUB) or _is_action(path)
        content = table(yaml_of(project, path)) if is_read else {}
    except NoYaml:
        return
    if _is_action(path):  # which runs where it is used: in another project, or in this one
        for step in tables(table(content.get("runs")).get("steps")):
            yield ".", {key: value for key, value in step.items() if key == "uses"}
        return
    whole = _folder(content, ".")
    for job in map(table, table(content.get("jobs")).values()):
        if "windows" in str(job.get("runs-on", "")) or _is_about_another(job):
            continue
        if "uses" in job:
            yield ".", job
        folder = _folder(job, whole)
        for step in tables(job.get("steps")):
            yield folder, step


def _is_about_another(job: dict[str, Any]) -> bool:
    """Return whether a job works in the files of another repository, which it fetches in place of these."""
    fetched = (table(step.get("with")) for step in tables(job.get("steps")) if "checkout" in str(step.get("uses", "")))
    return any("repository" in options and "path" not in options for options in fetched)


def _folder(content: dict[str, Any], otherwise: str) -> str:
    run = table(table(content.get("defaults")).get("run"))
    return str(run.get("working-directory", otherwise))


def _shell_of_gitlab(project: Project, path: str) -> Iterator[ShellPart]:
    try:
        content = table(yaml_of(project, path))
    except NoYaml:
        return
    for job in (content, *map(table, content.values())):
        for key in _SCRIPTS:
            lines = job.get(key)
            texts = [lines] if isinstance(lines, str) else lines if isinstance(lines, list) else []
            text = "\n".join(each for each in texts if isinstance(each, str))
            if text:
                yield ShellPart(path, _line_of(project, path, text), text)


def _line_of(project: Project, path: str, shell: str) -> int:
    """Return the line on which a piece of shell begins, by its first line; 0 where YAML folded it."""
    text = project.text(path)
    first = next((line.strip() for line in shell.splitlines() if line.strip()), "")
    lines = text.lines if text else ()
    return next((number for number, line in enumerate(lines, start=1) if first and first in line), 0)
