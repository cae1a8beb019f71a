"""Runs a command of the target with limits on its time and memory, and leaves nothing of it running."""

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.gateway import supervisor
from audit.gateway.commands import supervised
from audit.gateway.output import OutputTail
from audit.stopping import stop_if_wanted

_POLL_S = 0.05
_MEMORY_EVERY_S = 0.5
_END_TIMEOUT_S = 10.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended. `status` is the exit status, negative for a signal; it means nothing past a limit."""

    status: int
    seconds: float
    tail: str
    is_over_time: bool = False
    is_over_memory: bool = False


def run_limited(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float, memory_bytes: int
) -> Ended:
    """Run a command below a supervisor, which ends every process that it has started, in whatever session.

    Args:
        command: an absolute path and arguments.
        cwd: folder to run in.
        env: the whole environment.
        timeout_s: when all of it is ended.
        memory_bytes: resident memory of all its processes beyond which all of it is ended.

    Raises:
        KeyboardInterrupt: the user asked to stop; nothing is left running.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(
        supervised(*command, data_limit=0),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=dict(env),
        start_new_session=True,
    )
    assert process.stdout
    output = OutputTail(process.stdout)
    over_time = over_memory = False
    looked = begun
    try:
        while process.poll() is None and not (over_time or over_memory):
            stop_if_wanted()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
            now = time.perf_counter()
            over_time = now - begun > timeout_s
            if now - looked > _MEMORY_EVERY_S:
                looked = now
                over_memory = _resident_bytes(process.pid) > memory_bytes
    finally:
        status = _ended(process)
        output.finish(_END_TIMEOUT_S)
    return Ended(
        status=status,
        seconds=time.perf_counter() - begun,
        tail=output.tail(),
        is_over_time=over_time,
        is_over_memory=over_memory,
    )


def _ended(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.terminate()  # the supervisor ends all that is below it
    try:
        return process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _resident_bytes(root: int) -> int:
    if not os.path.isdir("/proc"):
        return 0
    total = 0
    for pid in supervisor.descendants(root):
        with contextlib.suppress(OSError, IndexError):  # it may have ended in the meantime
            total += int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE_BYTES
    return total
