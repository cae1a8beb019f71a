"""Memory of a process group, and its end."""

import contextlib
import os
import signal
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(group: int) -> int:
    """Return the resident memory of every process in `group`, in bytes; 0 where /proc is absent."""
    total = 0
    for entry in _processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            # Fields after the command, which is in parentheses and may itself contain spaces and parentheses:
            # state, parent, process group, ... (proc(5)).
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == group:
                total += int((entry / "statm").read_text().split()[1]) * _PAGE_BYTES
    return total


def _processes() -> list[Path]:
    root = Path("/proc")
    return [entry for entry in root.iterdir() if entry.name.isdigit()] if root.is_dir() else []


def kill_group(group: int) -> None:
    """Kill every process in `group`; a group that is already gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
