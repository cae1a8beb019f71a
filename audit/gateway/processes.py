"""The target's process: its supervisor, the connection to it, its output, its memory and its end."""

import contextlib
import os
import subprocess
import threading
from pathlib import Path

from execnet.gateway_base import Popen2IO, get_execmodel
from execnet.gateway_io import popen_bootstrapline

from audit.gateway import supervisor
from audit.gateway.commands import environment, supervised
from audit.gateway.forks import Forked, Template
from audit.gateway.limits import Limits
from audit.gateway.output import OutputTail

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_END_TIMEOUT_S = 5.0


class TargetProcess(Popen2IO):
    """An interpreter of the target under supervision; execnet reads from it and writes to it."""

    def __init__(self, python: Path, limits: Limits, template: Template | None = None) -> None:
        """Start it, waiting for execnet's first line on standard input; as a fork of the template where that can."""
        # CUDA maps far more than it uses.
        data_limit = 0 if Path("/dev/nvidiactl").exists() else limits.memory_bytes
        self._max_reply_bytes = limits.reply_bytes
        forked = template.fork(data_limit) if template else None
        self.popen: Forked | subprocess.Popen[bytes] = forked or subprocess.Popen(
            supervised(str(python), "-u", "-c", popen_bootstrapline, data_limit=data_limit),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",  # where no file of the target can stand in for one of the standard library's
            env=environment(),
            start_new_session=True,  # Ctrl-C is the auditor's affair
        )
        assert self.popen.stderr
        self.output = OutputTail(self.popen.stderr)
        super().__init__(self.popen.stdin, self.popen.stdout, execmodel=get_execmodel("thread"))

    def read(self, numbytes: int) -> bytes:
        """Read exactly so many bytes; called by execnet.

        Raises:
            EOFError: there are no more, or the target announces more than a reply may hold.
        """
        if numbytes > self._max_reply_bytes:
            raise EOFError(f"a reply of {numbytes} bytes")
        data: bytes = super().read(numbytes)
        return data

    def close_write(self) -> None:
        """Close the way to the target; called by execnet. What it has not read by now is lost."""
        with contextlib.suppress(OSError):
            super().close_write()

    def close_connection(self) -> None:
        """Close both ways; only where no thread reads from the target."""
        self.close_read()
        self.close_write()

    def wait(self, within_s: float | None = None) -> int | None:
        """Return the exit status as subprocess has it, or None when the process still runs after that time."""
        try:
            return self.popen.wait(within_s)
        except subprocess.TimeoutExpired:
            return None

    @property
    def is_alive(self) -> bool:
        """Whether the target's interpreter still runs."""
        return self.popen.poll() is None

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the interpreter and of every process below it; 0 where /proc is absent."""
        return sum(map(_resident_bytes, _below(self.popen.pid))) if os.path.isdir("/proc") else 0

    def kill(self) -> None:
        """Tell the supervisor to end everything; returns at once, from any thread, and may be called twice."""
        self.popen.terminate()

    def end(self) -> None:
        """End everything, and release what belongs to it."""
        self.kill()
        if self.wait(_END_TIMEOUT_S) is None:
            self.popen.kill()
            self.wait(_END_TIMEOUT_S)
        self.output.finish(_END_TIMEOUT_S)


def output_of(program: Path, *arguments: str, max_bytes: int, timeout_s: float) -> str | None:
    """Return what a program prints, and leave nothing of it running.

    None when it does not succeed within the time, or prints more.
    """
    with subprocess.Popen(
        supervised(str(program), *arguments, data_limit=0),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment(),
        start_new_session=True,
    ) as process:
        assert process.stdout
        alarm = threading.Timer(timeout_s, process.terminate)
        alarm.start()
        try:
            said = process.stdout.read(max_bytes + 1)
            status = process.wait() if len(said) <= max_bytes else None
            is_in_time = alarm.is_alive()  # the status alone does not tell: a supervisor that is told to end succeeds
        finally:
            alarm.cancel()
            process.terminate()
    return said.decode(errors="replace") if status == 0 and is_in_time else None


def _below(root: int) -> list[int]:
    """Return the processes below one by the kernel's lists of children, where it keeps them: asked 20 times a second.

    A list that is read while one of its processes ends may lack another; that one is in the next.
    """
    if not os.path.exists(f"/proc/{root}/task/{root}/children"):
        return supervisor.descendants(root)
    found = [root]
    for pid in found:
        with contextlib.suppress(OSError):  # ended in the meantime
            for thread in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError):
                    found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
    return found[1:]


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):  # ended in the meantime
        return 0
