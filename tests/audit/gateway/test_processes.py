"""Processes of a group: their memory, their end, and that the parent keeps nothing of them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.gateway.processes import kill_group, resident_bytes

MIB = 2**20
HOLDS = "kept = bytearray(b'x') * (100 * 2**20); import os, time; os.write(1, b'ready\\n'); time.sleep(300)"


@pytest.fixture
def group() -> Iterator[subprocess.Popen[str]]:
    """A shell with two children that hold 100 MiB each, in a process group of their own."""
    shell = subprocess.Popen(
        ["sh", "-c", '"$0" -c "$1" & "$0" -c "$1" & wait', sys.executable, HOLDS],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert shell.stdout
    assert [shell.stdout.readline(), shell.stdout.readline()] == ["ready\n", "ready\n"]
    yield shell
    kill_group(shell.pid)
    shell.wait()
    shell.stdout.close()


def test_memory_is_that_of_the_whole_group(group: subprocess.Popen[str]) -> None:
    assert 200 * MIB < resident_bytes(group.pid) < 400 * MIB


def test_memory_of_a_group_that_is_gone_is_zero() -> None:
    ended = subprocess.Popen(["true"], process_group=0)
    ended.wait()
    assert resident_bytes(ended.pid) == 0


def test_a_name_with_spaces_and_parentheses_is_read(tmp_path: Path) -> None:
    program = tmp_path / "a) (S 1 1"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "300"], process_group=0)
    try:
        assert resident_bytes(process.pid) > 0
    finally:
        kill_group(process.pid)
        process.wait()


def test_every_process_of_a_group_is_killed(group: subprocess.Popen[str]) -> None:
    kill_group(group.pid)
    assert group.wait(10) == -signal.SIGKILL
    assert group.stdout
    assert group.stdout.read() == ""  # its children held this open
    kill_group(group.pid)


def test_the_parent_keeps_no_descriptor_thread_or_child(child: Any) -> None:
    child.tell("os.getpid()")
    child.probe.close()
    before = _held()
    for _ in range(3):
        child.tell("os.getpid()")
        child.fail("import os; os._exit(1)")
    child.probe.close()
    assert _held() == before


def test_children_of_the_target_end_with_it(child: Any, tmp_path: Path, is_gone: Callable[[int], bool]) -> None:
    pids = tmp_path / "pids"
    child.run(
        f"""
        import os, signal, subprocess, time
        programs = [subprocess.Popen(["sleep", "300"]) for _ in range(2)]
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(300)
        open({str(pids)!r}, "w").write(" ".join(map(str, [pid, *(program.pid for program in programs)])))
        """
    )
    child.probe.close()
    assert [pid for pid in map(int, pids.read_text().split()) if not is_gone(pid)] == []


def _held() -> tuple[int, list[str], list[str]]:
    """Count open files, and list threads and child processes."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    threads = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("probe"))
    return len(os.listdir("/proc/self/fd")), threads, children
