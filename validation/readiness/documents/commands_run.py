"""The commands that documents mark so end as the documents say."""

import os
import re
from collections.abc import Sequence

from audit.judgement import Judgement, skipped
from audit.plan import Run
from audit.results import Check, Severity
from validation.readiness.documents.command_lines import CommandLine
from validation.readiness.documents.commands_parse import commands_of
from validation.readiness.documents.starting import FLAG, INSIDE, ended_with, words_to_start
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="documents.commands_run",
    title="Commands in documents that are marked so run",
    proves="Every command of astrobio-audit and of the project's own in a block of code below the comment `<!-- "
    "astrobio-audit: run -->` ended with exit code 0, or with the one that the comment names (`run exit=1`). "
    "They were run in the project's root, because --run-documents was given.",
    defect="a marked command that fails",
    severity=Severity.MINOR,
)
_MARK = re.compile(r"<!--\s*astrobio-audit:\s*run(?:\s+exit=(?P<code>\d{1,3}))?\s*-->")
_TIMEOUT_S = 600.0
_FOR_A_SHELL = frozenset("|&;<>()$`*?")


def judge(project: Project, run: Run, *, runs: bool) -> Sequence[Judgement]:
    """Run the marked commands one after another where the user asks for it."""
    marked = [
        (document, command, int(mark["code"] or 0))
        for document, command in commands_of(project)
        if command.block and (mark := _MARK.fullmatch(command.block.above))
    ]
    if marked and not runs:
        return [skipped(f"{len(marked)} commands are marked; give {FLAG} to run what the documents say")]
    if marked and os.environ.get(INSIDE):
        return [skipped("this run was itself started by a document")]
    wrong, unread = [], []
    for document, command, code in marked:
        started = _started(command, project, run)
        if isinstance(started, str):
            unread.append(f"{document.path}:{command.line}: {started}")
            continue
        run.tell(f"{CHECK.id}: {' '.join(command.words)}")
        if problem := _problem(started, code, run):
            wrong.append(Place(document.path, command.line, problem))
    return judge_places(
        project,
        wrong,
        looked_at=len(marked) - len(unread),
        unit="marked commands",
        origin="a document says that the command ends so",
        fix="write what works now, or take the mark away",
        nothing="no document marks a command to be run",
        unread=unread,
    )


def _started(command: CommandLine, project: Project, run: Run) -> list[str] | str:
    """Return the program and its arguments, or why it cannot be started."""
    if _FOR_A_SHELL & {*command.source}:
        return "a line for a shell, which is not started"
    return words_to_start(command.words, project, run) or f"nothing is known to start {command.words[0]}"


def _problem(started: Sequence[str], expected: int, run: Run) -> str | None:
    code, text = ended_with(started, run, timeout_s=max(_TIMEOUT_S, run.target.settings.timeout_s))
    if code is None:
        return f"the command was ended: {text}"
    return None if code == expected else f"the command ended with {code}, where {expected} is expected: {text}"
