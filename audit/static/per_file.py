"""One fact about one file: what a function makes of the file and its syntax tree.

A fact is a frozen dataclass that `audit.static.encoding` can write; it may depend on what its function is given and
on nothing else, for it is kept from run to run. To learn something new about files, name a function:

    def findings_of(file: SourceFile, parsed: ParsedFile) -> Findings: ...

    analyse_files(files, findings_of, workers=2, store=store)
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar, get_type_hints

from audit.static.encoding import Codec
from audit.static.reading import ParsedFile, UnreadableFile, read
from audit.static.sources import SourceFile

Fact = TypeVar("Fact")
FactFunction = Callable[[SourceFile, ParsedFile], Fact]

# A file changed again within one tick of its file system's clock keeps its times, so a state counts only when the
# last change was longer ago than the longest tick (FAT: 2 s) as the file was read. git calls such files racy.
SETTLED_AFTER_NS = 2_000_000_000
_DEPTH = 3000  # calls within one file; a method chain of 100 links takes 700


@dataclass(frozen=True, slots=True)
class Answer(Generic[Fact]):
    """A fact, the digest of the content it is about, and the state in which the file has that content.

    `digest` is None for an `UnreadableFile`; `state` is None where the file may have changed since without a trace.
    """

    fact: Fact | UnreadableFile
    digest: str | None
    state: str | None
    parts: tuple[str, ...] = ()


@contextmanager
def steady_recursion() -> Iterator[None]:
    """Let the block call as deeply as in any other process: what is too deep does not depend on who asks."""
    depth = 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + _DEPTH)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def read_in_parts(file: SourceFile, function: FactFunction[Fact]) -> Answer[Fact]:
    """Read `file` and return what `function` makes of it, with the parts of it as texts. Raises nothing."""
    with steady_recursion():
        answer = fact_of(file, function)
        if isinstance(answer.fact, UnreadableFile):
            return answer
        try:
            return replace(answer, parts=tuple(parts_of(function, answer.fact)))
        except RecursionError:
            return _too_deep(file, answer.digest)


def fact_of(file: SourceFile, function: FactFunction[Fact]) -> Answer[Fact]:
    """Read `file` and return what `function` makes of it. Raises nothing for whatever the file holds."""
    before = settled_state(file.path)
    parsed = read(file)
    if isinstance(parsed, UnreadableFile):
        return Answer(parsed, None, None)
    state = before if before == file_state(file.path) else None
    try:
        return Answer(function(file, parsed), parsed.digest, state)
    except RecursionError:
        return _too_deep(file, parsed.digest)


def _too_deep(file: SourceFile, digest: str | None) -> Answer[Any]:
    reason = "an expression is nested too deeply to follow (RecursionError)"
    return Answer(UnreadableFile(path=file.relative, reason=reason, digest=digest, passing=True), None, None)


class Record:
    """Base of facts whose fields are kept, and read again, one by one: a later stage may need only some of them."""

    __slots__ = ()


WHOLE = ""  # the name of the only part of a fact that is no record


@cache
def codecs_of(function: FactFunction[Any]) -> Mapping[str, Codec[Any]]:
    """Return what writes and reads the parts of the facts of `function`, by the type that it declares to return."""
    returned: Any = get_type_hints(function)["return"]
    if not issubclass(returned, Record):
        return {WHOLE: Codec(returned)}
    return {name: Codec(kind) for name, kind in get_type_hints(returned).items()}


def parts_of(function: FactFunction[Fact], fact: Fact) -> list[str]:
    """Return the parts of a fact as texts, in the order of `codecs_of`."""
    return [codec.encode(getattr(fact, name) if name else fact) for name, codec in codecs_of(function).items()]


def file_state(path: Path) -> str | None:
    """Return what the file system says about a file that changes when its content does; None where it says nothing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    # ctime last: unlike mtime, no program can set it back.
    facts = (status.st_size, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return ",".join(map(str, facts))


def settled_state(path: Path) -> str | None:
    """Return the state of a file whose next change will show in it; None for one that changed just now."""
    now = time.time_ns()
    state = file_state(path)
    if state is None:
        return None
    changed = max(int(part) for part in state.split(",")[-2:])
    return state if changed + SETTLED_AFTER_NS < now else None


def size_in(state: str | None) -> int:
    """Return the size in bytes that a state tells of."""
    return int(state.partition(",")[0]) if state else 0
