"""Forks of a template, as `subprocess.Popen` has processes: the target's processes where a plain start is spared.

Importing torch is most of what a start costs. One template (`audit.probe.template`) for each interpreter and
environment imports it once, and forks. Where there can be none, the caller starts the process plainly.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from execnet.gateway_io import popen_bootstrapline

from audit.gateway.commands import supervised
from audit.gateway.shipping import template_line

HERE, READY = b"here\n", b"ready\n"  # the words of `audit.probe.template`, which is sent and not imported
_HERE_WITHIN_S = 10.0  # an interpreter that is silent for longer is left to a plain start, and to its limit
_READY_WITHIN_S = 120.0
_FORKED_WITHIN_S = 30.0
_END_TIMEOUT_S = 5.0
_POLL_S = 0.05
_MAX_BYTES = 64


class Forked:
    """A process that a template forked."""

    def __init__(self, *, pid: int, own: int, answers: socket.socket, streams: tuple[IO[bytes], ...]) -> None:
        """Take over a supervisor and its child.

        Args:
            pid: of the supervisor.
            own: descriptor of that process.
            answers: where the supervisor says how its child ended.
            streams: ends of the child's standard input, output and error.
        """
        self.pid = pid
        self.stdin, self.stdout, self.stderr = streams
        self.returncode: int | None = None
        self._own = own
        self._answers = answers
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit status, negative after a signal, or None while the process runs."""
        with self._lock:
            if self.returncode is None and _is_readable(self._own, 0):
                said = self._answers.recv(_MAX_BYTES)
                self.returncode = int(said) if said else -signal.SIGKILL  # only then does a supervisor say nothing
                self._answers.close()
                os.close(self._own)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once the process has ended.

        Raises:
            subprocess.TimeoutExpired: it runs for longer than so many seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            remaining = _POLL_S if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                raise subprocess.TimeoutExpired("fork", timeout or 0.0)
            time.sleep(min(_POLL_S / 10, remaining))
        return status

    def terminate(self) -> None:
        """Tell the supervisor to end everything below it."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End the supervisor, and by that the child."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        self.poll()
        with self._lock:
            if self.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._own, number)


class Template:
    """A process that has imported what the target's processes begin with, and forks them."""

    def __init__(self, python: Path, environment: dict[str, str], ahead: Sequence[str] = ()) -> None:
        """Start it; it imports the modules in `ahead` beside torch."""
        self._ahead = tuple(ahead)
        self._connection, theirs = socket.socketpair()
        said, says = os.pipe()
        self._said = said
        with theirs:
            self._process = subprocess.Popen(
                supervised(str(python), "-u", "-c", popen_bootstrapline, data_limit=0),
                stdin=theirs.fileno(),
                stdout=says,
                stderr=says,
                cwd="/",
                env=environment,
                pass_fds=(said,),
                start_new_session=True,
            )
        os.close(says)
        os.close(said)
        self._lock = threading.Lock()

    def becomes_ready(self, is_wanted: Callable[[], bool]) -> bool:
        """Wait until it can fork; False where it cannot, or is not wanted any more."""
        sender = threading.Thread(target=self._describe, name="probe-template", daemon=True)
        sender.start()
        return self._says(HERE, _HERE_WITHIN_S, is_wanted) and self._says(READY, _READY_WITHIN_S, is_wanted)

    def _describe(self) -> None:
        with contextlib.suppress(OSError):  # it has ended
            self._connection.sendall(template_line(self._said, self._ahead))

    def _says(self, word: bytes, within_s: float, is_wanted: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + within_s
        heard = b""
        while heard != word and time.monotonic() < deadline and is_wanted():
            if _is_readable(self._connection.fileno(), _POLL_S):
                try:
                    more = self._connection.recv(len(word) - len(heard))
                except OSError:
                    return False
                heard += more
                if not more or not word.startswith(heard):
                    return False
        return heard == word

    def fork(self, data_limit: int) -> Forked | None:
        """Return a new process, its memory limited to so many bytes of data; None when there is none to be had."""
        (input_end, stdin), (stdout, output_end), (stderr, error_end) = (os.pipe() for _ in range(3))
        answers, theirs = socket.socketpair()
        told = self._asked(str(data_limit).encode(), [input_end, output_end, error_end, theirs.detach()], answers)
        streams = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb"), os.fdopen(stderr, "rb")
        if told is None:
            answers.close()
            for stream in streams:
                stream.close()
            return None
        return Forked(pid=told[0], own=told[1], answers=answers, streams=streams)

    def _asked(self, request: bytes, descriptors: list[int], answers: socket.socket) -> tuple[int, int] | None:
        """Hand over descriptors; return the number of the process that supervises the fork, and one that is it."""
        answers.settimeout(_FORKED_WITHIN_S)
        with self._lock:
            try:
                socket.send_fds(self._connection, [request], descriptors)
            except OSError:  # it has ended
                return None
            finally:
                for descriptor in descriptors:  # so that the end of the other side is seen
                    os.close(descriptor)
            try:
                said, own, *_ = socket.recv_fds(answers, _MAX_BYTES, 1)
            except TimeoutError:
                self._process.terminate()
                return None
            except OSError:  # it has ended
                return None
        return (int(said), own[0]) if said and own else None

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def retire(self) -> None:
        """Let it end once its forks have."""
        with self._lock:
            self._connection.close()

    def end(self) -> None:
        """End it and its forks."""
        self.retire()
        self._process.terminate()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_TIMEOUT_S)


def _is_readable(descriptor: int, within_s: float) -> bool:
    poll = select.poll()  # `select.select` takes no descriptor above 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(within_s * 1000))
