"""The hooks of pre-commit start what is there."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity
from validation.readiness.documents.own_line import PROGRAM, problem_of
from validation.readiness.infrastructure.shell import INSTALLED, MADE
from validation.readiness.infrastructure.yaml_files import NoYaml, table, tables, yaml_of
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project, normalised

CHECK = Check(
    id="infrastructure.hooks_exist",
    title="Hooks of pre-commit start what is there",
    proves="The files of pre-commit are YAML; each hook of the project itself has an id, a name, an entry and a "
    "language, and an entry that is a path leads to a file. Commands of astrobio-audit parse.",
    defect="a hook whose script was moved",
    severity=Severity.MINOR,
)
_USED, _OFFERED = (".pre-commit-config.yaml", ".pre-commit-config.yml"), (".pre-commit-hooks.yaml",)
_NEEDS = ("id", "name", "entry", "language")


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Read the hooks that the project uses of itself, and those that it offers."""
    paths = [path for path in (*_USED, *_OFFERED) if path in project.files]
    hooks: list[tuple[str, dict[str, Any]]] = []
    wrong: list[Place] = []
    for path in paths:
        try:
            content = yaml_of(project, path)
        except NoYaml as problem:
            wrong.append(Place(path, problem.line, str(problem)))
            continue
        hooks += [(path, hook) for hook in (_own(content) if path in _USED else tables(content))]
    wrong += [place for path, hook in hooks for place in _places(project, path, hook)]
    return judge_places(
        project,
        wrong,
        looked_at=len(hooks) + len(paths),
        unit="hooks and their files",
        origin="a hook that starts nothing keeps everyone from committing, or nobody",
        fix="name what is there now",
        nothing="the project has no hooks of pre-commit",
    )


def _own(content: object) -> Iterator[dict[str, Any]]:
    for repository in tables(table(content).get("repos")):
        if repository.get("repo") == "local":
            yield from tables(repository.get("hooks"))


def _places(project: Project, path: str, hook: dict[str, Any]) -> Iterator[Place]:
    name = str(hook.get("id", "?"))[:100]
    text = project.text(path)
    lines = text.lines if text else ()
    line = next((number for number, each in enumerate(lines, start=1) if f"id: {name}" in each), 0)
    missing = [key for key in _NEEDS if key not in hook]
    if missing and hook.get("language") != "fail":
        yield Place(path, line, f"hook {name} has no {', '.join(missing)}")
        return
    try:
        words = shlex.split(str(hook.get("entry", "")))
    except ValueError:
        yield Place(path, line, f"hook {name}: its entry has a quotation mark that is never closed")
        return
    if not words or hook.get("language") in ("fail", "pygrep", "docker_image", "docker"):
        return
    if INSTALLED.search(words[0]):
        words[0] = words[0].rpartition("/")[2]
    if words[0] == PROGRAM:
        if problem := problem_of(words, is_whole=False):
            yield Place(path, line, f"hook {name}: {problem}")
        return
    called = [words[0]] if "/" in words[0] or hook["language"] == "script" else []
    called += [
        word for word in words[1:2] if words[0] in ("bash", "sh", "python", "python3") and not word.startswith("-")
    ]
    for each in called:
        place = normalised(each)
        if not each.startswith((*MADE, "$")) and project.is_inside(place) and not project.exists(place):
            yield Place(path, line, f"hook {name} starts {each[:200]}, which does not exist")
