"""Worker processes that read files side by side; one that dies costs the file it was reading, never the run.

A worker is a fresh interpreter, not a fork: a fork copies the locks that other threads hold at that moment, and shares
the caller's memory only until reference counts are written to it. It loads the standard library and what reads files.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from audit.plugins import folders
from audit.static.per_file import FactFunction
from audit.static.reading import UnreadableFile
from audit.static.sources import SourceFile
from audit.static.worker import DEFECT, READY, UNREADABLE, unreadable_codec

# Isolated and without `site`, so that neither the environment nor the current folder chooses what is imported: the
# worker gets the caller's own import path.
_COMMAND = (sys.executable, "-I", "-S", "-c")
_CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from audit.static.worker import main; main()"
_HOUSE = str(Path(__file__).parents[2])  # found by an import hook, it is not on the path
_OUTSTANDING = 2  # one file in work, one waiting, so that a worker never waits for the caller
_DEATHS_PER_FILE = 2  # the first may be the doing of something else, such as the kernel short of memory
_POLL_S = 1.0
TIME_LIMIT_S = 120.0  # for one file; the slowest one of torch 2.13 takes 0.5 s


class WorkersUnavailableError(Exception):
    """No worker can be started; the files are yet to be read."""


class AnalyserError(Exception):
    """The function failed on a file, which is a defect of this package; the text is its traceback."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A worker's answer about the file at `position`: the parts of its fact, or why there is none."""

    position: int
    state: str | None = None
    digest: str | None = None
    parts: tuple[str, ...] = ()
    unreadable: UnreadableFile | None = None
    death: str | None = None


def read_in_processes(
    files: Sequence[SourceFile], function: FactFunction[Any], *, order: Sequence[int], workers: int
) -> Generator[Reply, None, None]:
    """Yield a reply for every file whose position is in `order`, as they come. Leaving the iterator ends the workers.

    Raises:
        WorkersUnavailableError: a worker did not start; files without a reply are left to the caller.
        AnalyserError: `function` raised something.
    """
    pool = _Pool(files, function, order=order)
    try:
        yield from pool.run(workers)
    finally:
        pool.close()


class _Worker:
    """One process, the positions it was asked for, and the part of a line that has come."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting
        path = json.dumps([_HOUSE, *map(str, folders()), *(os.path.abspath(entry) for entry in sys.path if entry)])
        try:
            self.process = subprocess.Popen(
                [*_COMMAND, _CODE, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise WorkersUnavailableError(str(error)) from error
        assert self.process.stdin
        assert self.process.stdout
        self._requests: IO[bytes] = self.process.stdin
        self.answers: IO[bytes] = self.process.stdout
        self.pending: deque[int] = deque()
        self.ready = False
        self.since = time.monotonic()
        self._partial = b""

    def greet(self) -> None:
        """Send what the worker has to know; apart from starting it, so that several start side by side."""
        self._send(self._greeting)

    def ask(self, position: int) -> None:
        """Ask for one file."""
        if not self.pending:
            self.since = time.monotonic()
        self.pending.append(position)
        self._send(b"%d\n" % position)

    def _send(self, line: bytes) -> None:
        with suppress(OSError):  # a dead worker is noticed at its answers
            self._requests.write(line)
            self._requests.flush()

    def lines(self) -> list[str] | None:
        """Return the whole lines that have come; None where the worker has ended."""
        content = os.read(self.answers.fileno(), 1 << 20)
        if not content:
            return None
        *lines, self._partial = (self._partial + content).split(b"\n")
        return [line.decode("ascii") for line in lines]

    def is_late(self) -> bool:
        """Whether the file in work, or the start, takes longer than the limit."""
        return (bool(self.pending) or not self.ready) and time.monotonic() - self.since > TIME_LIMIT_S

    def end(self, *, grace_s: float = 0.0) -> str:
        """End the process, if need be after a time in which it may end by itself; return how it ended."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_s)
        self.process.kill()
        with suppress(OSError):
            self._requests.close()
        self.answers.close()
        code = self.process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class _Pool:
    """The workers and what is left to read."""

    def __init__(self, files: Sequence[SourceFile], function: FactFunction[Any], *, order: Sequence[int]) -> None:
        listed = [[str(file.path), file.relative, file.module, file.model_lines] for file in files]
        self._greeting = json.dumps([function.__module__, function.__qualname__, listed]).encode() + b"\n"
        self._left = deque(order)
        self._deaths: Counter[int] = Counter()
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []

    def run(self, workers: int) -> Iterator[Reply]:
        """Yield the replies."""
        started = [self._start() for _ in range(workers)]
        for worker in started:
            worker.greet()
        while self._left or any(worker.pending for worker in self._workers):
            for key, _ in self._selector.select(_POLL_S):
                yield from self._hear(key.data)
            for worker in [worker for worker in self._workers if worker.is_late()]:
                yield from self._bury(worker, late=True)

    def close(self) -> None:
        """End every worker."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        self._selector.close()

    def _start(self) -> _Worker:
        worker = _Worker(self._greeting)
        self._workers.append(worker)
        self._selector.register(worker.answers, selectors.EVENT_READ, worker)
        return worker

    def _hear(self, worker: _Worker) -> Iterator[Reply]:
        lines = worker.lines()
        if lines is None:
            yield from self._bury(worker)
            return
        for line in lines:
            if line == READY:
                worker.ready = True
            else:
                yield self._reply(line)
                worker.pending.popleft()
                worker.since = time.monotonic()
        while worker.ready and self._left and len(worker.pending) < _OUTSTANDING:
            worker.ask(self._left.popleft())

    def _reply(self, line: str) -> Reply:
        number, word, *values = line.split("\t")
        if word == DEFECT:
            raise AnalyserError(json.loads(values[0]))
        if word == UNREADABLE:
            return Reply(int(number), unreadable=unreadable_codec().decode(values[0]))
        state, digest, *parts = values
        return Reply(int(number), state=state or None, digest=digest or None, parts=tuple(parts))

    def _bury(self, worker: _Worker, *, late: bool = False) -> Iterator[Reply]:
        """Put what a dead or late worker did not read back, and start another; blame the file it was reading."""
        self._selector.unregister(worker.answers)
        self._workers.remove(worker)
        how = worker.end(grace_s=0.0 if late else 1.0)  # it closes its output a moment before it is gone
        if not worker.ready:
            raise WorkersUnavailableError(how)
        if worker.pending:
            position = worker.pending.popleft()
            self._deaths[position] += 1
            if late:
                yield Reply(position, death=f"not read within {TIME_LIMIT_S:g} s")
            elif self._deaths[position] >= _DEATHS_PER_FILE:
                yield Reply(position, death=f"the process that reads it ends ({how})")
            else:
                self._left.append(position)
        self._left.extendleft(reversed(worker.pending))
        if self._left:
            self._start().greet()
