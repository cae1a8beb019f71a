"""What workflows and scripts call is there."""

import functools
from collections.abc import Iterator, Sequence, Set

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity
from validation.readiness.documents.command_lines import words_of
from validation.readiness.documents.own_line import PROGRAM, problem_of
from validation.readiness.documents.own_scripts import OwnScripts
from validation.readiness.infrastructure.scripts import shell_scripts_of
from validation.readiness.infrastructure.shell import Call, Uses, calls_of, from_program, is_target, make_targets
from validation.readiness.infrastructure.workflows import ShellPart, shell_of, workflows_of
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="infrastructure.commands_exist",
    title="Workflows, scripts and Makefiles call what is there",
    proves="Every script, requirement file, test path, make target and module of the package that a workflow, a shell"
    " script or a Makefile of the project names in a command exists, commands of astrobio-audit parse, and those "
    "of the project's own programs are named in its sources. "
    "What is named by a variable or a pattern, or written by an earlier command, is not judged.",
    defect="a workflow that runs a script which was moved",
    severity=Severity.MINOR,  # the folder that a command runs in is not always known from the text
)
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Look up what is called in each piece of shell."""
    parts = list(_parts(project))
    calls = [(part, call) for part in parts for call in _calls(part)]
    names = {PROGRAM, *project.scripts}
    own = [(part, number, words) for part in parts for number, words in _own_commands(part, names)]
    return judge_places(
        project,
        [*_missing(project, calls), *_unparsed(own, OwnScripts(project))],
        looked_at=len(calls) + len(own),
        unit="calls",
        origin="a command that is not there fails when it is needed",
        fix="name what is there now",
        nothing="no workflow or script of the project calls a file, a make target or a module of it",
    )


def _parts(project: Project) -> Iterator[ShellPart]:
    for path in workflows_of(project):
        yield from shell_of(project, path)
    for path in shell_scripts_of(project):
        if (text := project.text(path)) is not None:
            yield ShellPart(path, 1, text.content)
    for path in project.files:
        if path.rpartition("/")[2] in _MAKEFILES and (text := project.text(path)) is not None:
            folder = path.rpartition("/")[0] or "."
            for line, recipe in enumerate(text.lines, start=1):  # each line of a recipe has a shell of its own
                if recipe.startswith("\t"):
                    yield ShellPart(path, line, recipe.strip().lstrip("@-+"), folder)


def _calls(part: ShellPart) -> Iterator[Call]:
    own_folder = part.path.rpartition("/")[0] or "."
    return calls_of(part.text, folder=part.folder, own_folder=own_folder)


def _own_commands(part: ShellPart, names: Set[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(part.text.split("\n"), start=1):
        if any(name in line for name in names):
            for words in map(from_program, words_of(line) or ()):
                program = words[0].rpartition("/")[2] if words else ""
                if program in names and not any("$" in word for word in words):
                    yield number, [program, *words[1:]]


def _unparsed(commands: Sequence[tuple[ShellPart, int, list[str]]], scripts: OwnScripts) -> Iterator[Place]:
    for part, number, words in commands:
        problem = problem_of(words, is_whole=True) if words[0] == PROGRAM else scripts.problem_of(words)
        if problem:
            yield Place(part.path, part.line and part.line + number - 1, problem)


def _missing(project: Project, calls: Sequence[tuple[ShellPart, Call]]) -> Iterator[Place]:
    no_target = functools.cache(functools.partial(_no_target, project))
    for part, call in calls:
        line = part.line and part.line + call.line - 1
        match call.kind:
            case Uses.FILE:
                if not project.exists(call.folder):
                    continue  # a folder that an earlier command makes
                own = part.path.rpartition("/")[0]
                is_there = project.exists(call.name) or (own and project.exists(f"{own}/{call.name}"))
                if project.is_inside(call.name) and not is_there:
                    yield Place(part.path, line, f"{call.name[:200]} does not exist")
            case Uses.TARGET:
                if problem := no_target(call.name, call.folder):
                    yield Place(part.path, line, problem)
            case Uses.MODULE:
                top = call.name.partition(".")[0]
                if top == project.package and not _is_module(project, call.name):
                    yield Place(part.path, line, f"the package has no module {call.name[:200]}")


def _no_target(project: Project, target: str, started_in: str) -> str | None:
    folder = "" if started_in == "." else f"{started_in}/"
    for name in _MAKEFILES:
        text = project.text(folder + name)
        if text is not None:
            targets, patterns, includes = make_targets(text.content)
            if includes or is_target(target, targets, patterns):
                return None
            return f"{folder}{name} has no target {target[:200]!r}"
    if not project.exists(folder or "."):
        return None  # a folder that an earlier command makes
    return f"{folder or 'the project '}has no Makefile for `make {target[:200]}`" if not folder else None


def _is_module(project: Project, name: str) -> bool:
    return name in project.modules or f"{name}.__main__" in project.modules
