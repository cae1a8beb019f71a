"""The commands that documents show exist."""

import re
from collections.abc import Iterator, Sequence

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity
from validation.readiness.documents.command_lines import CommandLine, command_lines
from validation.readiness.documents.own_line import PROGRAM, problem_of
from validation.readiness.documents.own_scripts import OwnScripts
from validation.readiness.documents.writing import Document
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="documents.commands_parse",
    title="Commands in documents exist",
    proves="Every command of astrobio-audit in a document parses: click's parser took its words, and nothing was run."
    " Of the project's own commands ([project.scripts]), the sources name each option, and each command where "
    "there are several. Words in capital letters stand for values; change logs and the commands of programs "
    "that take plug-ins are not judged.",
    defect="an option in the README that the command does not have",
    severity=Severity.MINOR,
)
_OF_TESTS = re.compile(
    r"(?:^|/)(?:fixtures?|testdata|test[_-]data|snapshots?)/|(?:^|/)tests?/(?:.*/)?(?:data|cases|expected)/"
)
_OF_THE_PAST = re.compile(
    r"(?:^|/)(?:change(?:s|log)?|history|news|releases?|release[_-]notes|announce|whats-?new)\b", re.I
)


def documents_of(project: Project) -> Iterator[Document]:
    """Yield the documents of a project, with up to 1 MiB of each; those that tests read are not meant for people."""
    for path in project.texts.documents:
        if not _OF_TESTS.search(path) and (text := project.text(path)) is not None:
            yield Document(text)


def commands_of(project: Project) -> list[tuple[Document, CommandLine]]:
    """Return the commands in documents that can be judged: this tool's, and those that the project declares."""
    programs = {PROGRAM, *project.scripts}
    return [
        (document, command)
        for document in documents_of(project)
        if not _OF_THE_PAST.search(document.path)
        for command in command_lines(document, programs)
    ]


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Parse each command."""
    commands = commands_of(project)
    scripts = OwnScripts(project)
    return judge_places(
        project,
        _places(commands, scripts),
        looked_at=len(commands),
        unit="commands",
        origin="whoever copies a command from a document runs it",
        fix="write the command as it is now",
        nothing="no document shows a command of astrobio-audit or of the project's own",
    )


def _places(commands: Sequence[tuple[Document, CommandLine]], scripts: OwnScripts) -> Iterator[Place]:
    for document, command in commands:
        if command.words[0] == PROGRAM:
            problem = problem_of(command.words, is_whole=command.is_whole)
        else:
            problem = scripts.problem_of(command.words)
        if problem:
            yield Place(document.path, command.line, problem)
