"""The commands that a project declares start something that is there."""

import itertools
import re
from collections.abc import Iterator, Sequence

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="infrastructure.entry_points",
    title="Declared commands start what is there",
    proves="Each command under [project.scripts] names a module that is a file of the project, and an object that "
    "this file's text names.",
    defect="a command whose function was renamed",
    severity=Severity.MAJOR,
)
_MAX_COMMANDS = 500
_DECLARED_IN = "pyproject.toml"


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Look up what each command starts."""
    return judge_places(
        project,
        _places(project),
        looked_at=min(len(project.scripts), _MAX_COMMANDS),
        unit="commands",
        origin="a command that starts nothing fails where it is typed",
        fix="name the module and the function as they are now",
        nothing="the project declares no command",
    )


def _places(project: Project) -> Iterator[Place]:
    declared = project.text(_DECLARED_IN)
    lines = declared.lines if declared else ()
    for command, started in itertools.islice(project.scripts.items(), _MAX_COMMANDS):
        module, _, name = started.partition(":")
        pattern = re.compile(rf"^\s*[\"']?{re.escape(command)}[\"']?\s*=")
        line = next((number for number, text in enumerate(lines, start=1) if pattern.match(text)), 0)
        if problem := _problem(project, module.strip(), re.sub(r"\[.*", "", name).strip()):
            yield Place(_DECLARED_IN, line, f"{command}: {problem}")


def _problem(project: Project, module: str, name: str) -> str | None:
    if not re.fullmatch(r"\w+(\.\w+)*", module):
        return f"{module[:200]!r} is no module"
    folders = dict.fromkeys((project.source, ".", "src"))
    if not any(
        project.exists(f"{folder}/{module.partition('.')[0]}{end}") for folder in folders for end in ("", ".py")
    ):
        return None  # a module of another project
    relative = module.replace(".", "/")
    found = [
        place
        for folder in folders
        for end in (".py", "/__init__.py", "/__main__.py")
        if project.exists(place := f"{folder}/{relative}{end}")
    ]
    if not found:
        return f"there is no module {module}"
    texts = [text.content for place in found if (text := project.text(place))]
    first = name.partition(".")[0]
    if first and not any(re.search(rf"\b{re.escape(first)}\b", content) for content in texts):
        return f"{module} names no {first}"
    return None
