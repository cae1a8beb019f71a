"""The target's processes: their memory, their end, and that the parent keeps nothing of them."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.gateway import Limits, supervisor
from audit.gateway.processes import TargetProcess

MIB = 2**20
HOLDS = "kept = bytearray(b'x') * (100 * 2**20); import os, time; os.write(1, b'ready\\n'); time.sleep(300)"


@pytest.fixture
def family() -> Iterator[subprocess.Popen[str]]:
    """A shell with two children that hold 100 MiB each, one of them in a session of its own."""
    shell = subprocess.Popen(
        ["sh", "-c", '"$0" -c "$1" & setsid "$0" -c "$1" & wait', sys.executable, HOLDS],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdout
    assert [shell.stdout.readline(), shell.stdout.readline()] == ["ready\n", "ready\n"]
    yield shell
    for pid in [*supervisor.descendants(shell.pid), shell.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shell.wait()
    shell.stdout.close()


def test_descendants_are_all_processes_below_in_whatever_session(family: subprocess.Popen[str]) -> None:
    assert len(supervisor.descendants(family.pid)) == 2
    assert family.pid in supervisor.descendants(os.getpid())


def test_a_process_that_is_gone_has_none() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert supervisor.descendants(ended.pid) == []


def test_a_name_with_spaces_and_parentheses_is_read(tmp_path: Path) -> None:
    program = tmp_path / "a) (S 1 1"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "300"])
    try:
        assert process.pid in supervisor.descendants(os.getpid())
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], TargetProcess]]:
    """Starts a shell command in the place of the target's interpreter."""
    started: list[TargetProcess] = []

    def process(command: str) -> TargetProcess:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{command}\n")
        python.chmod(0o755)
        started.append(TargetProcess(python, Limits()))
        return started[-1]

    yield process
    for each in started:
        each.end()
        each.close_connection()


def test_memory_is_that_of_the_interpreter_and_all_below_it(start: Callable[[str], TargetProcess]) -> None:
    process = start(f'"{sys.executable}" -c "{HOLDS}" & setsid "{sys.executable}" -c "{HOLDS}" & wait')
    assert process.read(12) == b"ready\nready\n"
    assert 200 * MIB < process.resident_bytes < 400 * MIB
    process.end()
    assert process.resident_bytes == 0


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9), ("kill -40 $$", -40), ("sleep 300 & exit 3", 3)],
)
def test_the_supervisor_ends_as_the_interpreter_did(
    start: Callable[[str], TargetProcess], command: str, status: int
) -> None:
    assert start(command).wait(30) == status


def test_a_killed_auditor_leaves_no_process_behind(tmp_path: Path, is_gone: Callable[[int], bool]) -> None:
    code = f"""
import os, sys
from pathlib import Path
from audit.gateway import Limits
from audit.gateway.processes import TargetProcess
process = TargetProcess(Path({str(tmp_path / "python")!r}), Limits())
print(process.read(6), process.popen.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    (tmp_path / "python").write_text(
        f"#!/bin/sh\nsetsid sleep 300 &\necho $! > {tmp_path}/pid\necho ready\nsleep 300\n"
    )
    (tmp_path / "python").chmod(0o755)
    auditor = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert auditor.stdout.startswith("b'ready"), auditor.stderr
    assert is_gone(int(auditor.stdout.split()[-1]))
    assert is_gone(int((tmp_path / "pid").read_text()))


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
        programs = [subprocess.Popen(["sleep", "300"], start_new_session=own) for own in (False, True)]
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
