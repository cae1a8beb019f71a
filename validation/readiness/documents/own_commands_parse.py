"""Commands of the project's own programs parse with their real command lines."""

import os
from collections.abc import Sequence

from audit.judgement import Judgement, skipped
from audit.plan import Run
from audit.results import Check, Severity
from audit.stopping import stop_if_wanted
from validation.readiness.documents.commands_parse import commands_of
from validation.readiness.documents.own_line import PROGRAM
from validation.readiness.documents.starting import INSIDE, ended_with, words_to_start
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="documents.own_commands_parse",
    title="Commands of the project's own programs parse",
    proves="Every command of a program under [project.scripts] in a document ended with exit code 0 with --help at "
    "its end: the program's real command line took the words before it. This runs code of the target, and is "
    "done with --run-documents alone.",
    defect="an option in the README that another command of the program has",
    severity=Severity.MINOR,
)


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Ask each command for its help; the same words once."""
    commands = [(document, command) for document, command in commands_of(project) if command.words[0] != PROGRAM]
    different = {command.words for _, command in commands}
    if commands and os.environ.get(INSIDE):
        return [skipped("this run was itself started by a document")]
    said: dict[tuple[str, ...], str | None] = {}
    wrong, unread = [], []
    for document, command in commands:
        stop_if_wanted()
        started = words_to_start((*command.words, "--help"), project, run)
        if started is None:
            unread.append(f"{document.path}:{command.line}: nothing is known to start {command.words[0]}")
            continue
        if command.words not in said:
            run.tell(f"{CHECK.id}: {len(said) + 1} of {len(different)} commands")
            code, text = ended_with(started, run, timeout_s=run.target.settings.timeout_s)
            said[command.words] = None if code == 0 else f"exit code {code}: {text}"
        if problem := said[command.words]:
            shown = " ".join(command.words)[:200]
            wrong.append(Place(document.path, command.line, f"`{shown}` with --help ended with {problem}"))
    return judge_places(
        project,
        wrong,
        looked_at=len(commands) - len(unread),
        unit="commands",
        origin="whoever copies a command from a document runs it",
        fix="write the command as it is now",
        nothing="no document shows a command of a program of the project",
        unread=unread,
    )
