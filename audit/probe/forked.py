"""Carries out works side by side in forks of the target's process, which together form a group of ranks."""

import contextlib
import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

_POLL_S = 0.02
_LAST_LINES = 12


def carried_out(works: dict[str, Callable[[], bytes]], place: Path, *, seconds: float) -> str | None:
    """Carry out each work in a fork that leaves a file of its name; return what the first that failed said, or None."""
    torch.set_num_threads(1)  # a fork has none of the threads of the process that it comes from
    children = {_forked(work, place / name): name for name, work in works.items()}
    deadline = time.monotonic() + seconds
    failed: str | None = None
    try:
        while children and failed is None:
            for pid in list(children):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    name = children.pop(pid)
                    if status != 0:
                        failed = f"{_called(name)}: {_said(place / name, status)}"
            if time.monotonic() > deadline:
                failed = f"not done after {seconds:g} s"
            time.sleep(_POLL_S)
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return failed


def _called(name: str) -> str:
    return f"rank {name}" if name.isdigit() else "one process"


def _said(path: Path, status: int) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(path.with_suffix(".error").read_text().splitlines()[-_LAST_LINES:])
    return f"ended with status {os.waitstatus_to_exitcode(status)}"


def _forked(work: Callable[[], bytes], path: Path) -> int:
    """Carry a work out in a fork, which must never come back into the server of this process."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        torch.set_num_threads(1)
        path.write_bytes(work())
        status = 0
    except BaseException:
        path.with_suffix(".error").write_text(traceback.format_exc(limit=-4))
    finally:
        os._exit(status)
