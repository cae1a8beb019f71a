"""The process's standard streams, so made that no text, closed stream or lost reader ends in a traceback."""

import codecs
import io
import json
import os
import re
import sys
from typing import TYPE_CHECKING, TextIO

from audit.errors import ReaderGone

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


class _Output(io.FileIO):
    """Standard output. Told of a broken pipe, typer and rich would leave with 1, which says "not ready"."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise ReaderGone from None


class _Messages(io.FileIO):
    """Standard error. What it does not take is dropped: there is no other place to say so, and the report goes on."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare_streams() -> None:
    """Open the streams that the caller closed, and let the others take every character."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # The lowest free descriptor is the closed one: no file opened later, and no child, gets it as its output.
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))
    sys.stdout = _rebuilt(sys.stdout, _Output)
    sys.stderr = _rebuilt(sys.stderr, _Messages)


def _rebuilt(stream: TextIO, kind: type[io.FileIO]) -> TextIO:
    raw = kind(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=raw.isatty() or kind is _Messages,
    )


def discard_output() -> None:
    """Send what is still buffered for standard output to nowhere, so that leaving does not fail on it again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def print_text(text: str) -> None:
    """Write text that is for programs to standard output as UTF-8, whatever the stream's own encoding is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


def print_json(text: str) -> None:
    """Write JSON to standard output. JSON is UTF-8: what a stream of another encoding might lack is escaped."""
    if codecs.lookup(sys.stdout.encoding).name != "utf-8":
        text = _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)
    sys.stdout.write(text)
