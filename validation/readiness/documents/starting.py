"""Starts commands that documents show, with the limits of the target's process, where the user asks for it."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from audit.plan import Run
from validation.mutation.running import run_limited
from validation.readiness.documents.own_line import PROGRAM
from validation.readiness.project import Project

INSIDE = "ASTROBIO_AUDIT_RUNS_DOCUMENTS"  # a command of a document may be the one that runs the commands of documents
FLAG = "--run-documents"
_STARTED = re.compile(r"^\s*([\w.]+)\s*:\s*([\w.]+)\s*(?:\[.*)?$")
# What the script that an installer writes does, on the files of the tree that is judged.
_CODE = (
    "import importlib, operator, sys; sys.argv[0] = {program!r}; "
    "sys.exit(operator.attrgetter({attribute!r})(importlib.import_module({module!r}))())"
)


def words_to_start(words: Sequence[str], project: Project, run: Run) -> list[str] | None:
    """Return what starts a command, whose first word is its program; None where nothing is known to."""
    program, *arguments = words
    if program == PROGRAM:
        # -P: the folder that it runs in may hold a package of the same name as this tool's.
        return [sys.executable, "-P", "-m", "audit.cli", *arguments]
    started = _STARTED.match(project.scripts.get(program, ""))
    if started is None:
        return None
    code = _CODE.format(program=program, module=started[1], attribute=started[2])
    return [str(run.target.python), "-c", code, *arguments]


def ended_with(started: Sequence[str], run: Run, *, timeout_s: float) -> tuple[int | None, str]:
    """Run a command in the project's root; return its exit code and the end of what it printed.

    The code is None where it was ended, for it took more than its time or memory; the text says which.
    """
    target = run.target
    ended = run_limited(
        started,
        cwd=Path(target.root),
        env=_environment(run),
        timeout_s=timeout_s,
        memory_bytes=target.settings.memory_mb * 2**20,
    )
    if ended.is_over_time or ended.is_over_memory:
        return None, f"it took more than its {'time' if ended.is_over_time else 'memory'}"
    return ended.status, " ".join(ended.tail.split())[-300:] or "nothing printed"


def _environment(run: Run) -> Mapping[str, str]:
    source = str(run.target.source)
    path = os.pathsep.join(filter(None, (str(run.target.python.parent), os.environ.get("PATH"))))
    imports = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), source)))
    return {**os.environ, "PATH": path, "PYTHONPATH": imports, "PYTHONDONTWRITEBYTECODE": "1", INSIDE: "1"}
