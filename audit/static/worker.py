"""What a worker process does: reads the files whose numbers come in, and answers each with one line.

Lines are `READY`, then for each file its number, a word and what the word announces, between tabs:
`READ`, state, digest and the parts of the fact; `UNREADABLE` and why; or `DEFECT`, traceback.
"""

import gc
import importlib
import io
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from audit.static.encoding import Codec
from audit.static.per_file import FactFunction, read_in_parts
from audit.static.reading import UnreadableFile
from audit.static.sources import SourceFile

READY, READ, UNREADABLE, DEFECT = "ready", "read", "unreadable", "defect"


def unreadable_codec() -> Codec[UnreadableFile]:
    """Return what writes and reads why a file could not be read."""
    return Codec(UnreadableFile)


def main() -> None:
    """Serve until the input ends, which it does when the caller does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the caller as well, who ends its workers
    answers = io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), encoding="ascii")
    os.dup2(2, 1)  # nothing that prints can end up among the answers
    requests = iter(sys.stdin.readline, "")
    module, name, files = json.loads(next(requests))
    function = getattr(importlib.import_module(module), name)
    gc.freeze()
    gc.disable()  # see `audit.static.records`
    _say(answers, READY)
    for number in requests:
        path, relative, dotted, model_lines = files[int(number)]
        file = SourceFile(Path(path), relative, dotted, tuple(model_lines))
        _say(answers, f"{int(number)}\t{_answer(file, function)}")


def _say(answers: io.TextIOWrapper, line: str) -> None:
    answers.write(line + "\n")
    answers.flush()


def _answer(file: SourceFile, function: FactFunction[Any]) -> str:
    try:
        found = read_in_parts(file, function)
        if isinstance(found.fact, UnreadableFile):
            return f"{UNREADABLE}\t{unreadable_codec().encode(found.fact)}"
        return "\t".join((READ, found.state or "", found.digest or "", *found.parts))
    except Exception:  # a defect of the analyser, which the caller raises
        return f"{DEFECT}\t{json.dumps(traceback.format_exc())}"
