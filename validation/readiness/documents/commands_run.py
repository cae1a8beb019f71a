"""The commands that documents mark so end as the documents say."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from audit.judgement import Judgement, skipped
from audit.plan import Run
from audit.results import Check, Severity
from validation.mutation.running import run_limited
from validation.readiness.documents.command_lines import CommandLine
from validation.readiness.documents.commands_parse import commands_of
from validation.readiness.documents.own_line import PROGRAM
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
_INSIDE = "ASTROBIO_AUDIT_RUNS_DOCUMENTS"  # a marked command may be the one that runs the marked commands
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
        return [skipped(f"{len(marked)} commands are marked; give --run-documents to run what the documents say")]
    if marked and os.environ.get(_INSIDE):
        return [skipped("this run was itself started by a document")]
    wrong, unread = [], []
    for document, command, code in marked:
        started = _started(command, run)
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


def _started(command: CommandLine, run: Run) -> list[str] | str:
    """Return the program and its arguments, or why it cannot be started."""
    if _FOR_A_SHELL & {*command.source}:
        return "a line for a shell, which is not started"
    program, *arguments = command.words
    if program == PROGRAM:
        # -P: the folder that it runs in may hold a package of the same name as this tool's.
        return [sys.executable, "-P", "-m", "audit.cli", *arguments]
    place = run.target.python.parent / program
    return (
        [str(place), *arguments] if os.access(place, os.X_OK) else f"{program} is not installed beside the interpreter"
    )


def _problem(started: Sequence[str], code: int, run: Run) -> str | None:
    settings = run.target.settings
    path = os.pathsep.join(filter(None, (str(run.target.python.parent), os.environ.get("PATH"))))
    ended = run_limited(
        started,
        cwd=Path(run.target.root),
        env={**os.environ, "PATH": path, _INSIDE: "1"},
        timeout_s=max(_TIMEOUT_S, settings.timeout_s),
        memory_bytes=settings.memory_mb * 2**20,
    )
    if ended.is_over_time or ended.is_over_memory:
        return f"the command was ended: it took more than its {'time' if ended.is_over_time else 'memory'}"
    if ended.status != code:
        tail = " ".join(ended.tail.split())[-300:]
        return f"the command ended with {ended.status}, where {code} is expected: {tail or 'nothing printed'}"
    return None
