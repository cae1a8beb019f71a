import os
import sys
import time
from pathlib import Path

import pytest

from validation.mutation.running import Ended, run_limited

MIB = 1024 * 1024


def run(program: str, tmp_path: Path, *, timeout_s: float = 60.0, memory_mib: int = 4096) -> Ended:
    return run_limited(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ,
        timeout_s=timeout_s,
        memory_bytes=memory_mib * MIB,
    )


def test_the_status_and_the_last_lines_are_returned(tmp_path: Path) -> None:
    ended = run("print('one'); print('two'); raise SystemExit(7)", tmp_path)
    assert (ended.status, ended.tail, ended.is_over_time, ended.is_over_memory) == (7, "one\ntwo", False, False)


def test_a_flood_of_output_is_read_to_its_end_and_only_its_tail_kept(tmp_path: Path) -> None:
    ended = run("print('x' * 50_000_000); print('end')", tmp_path)
    assert ended.status == 0
    assert ended.tail.endswith("end")
    assert len(ended.tail) < 100_000


@pytest.mark.slow
def test_what_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "pathlib.Path('pid').write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    ended = run(program, tmp_path, timeout_s=8.0)
    assert ended.is_over_time
    assert not _is_alive(int((tmp_path / "pid").read_text()))


def test_what_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    ended = run("import time\nx = bytearray(600 * 2**20)\ntime.sleep(600)", tmp_path, memory_mib=300)
    assert ended.is_over_memory
    assert not ended.is_over_time


def _is_alive(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return Path(f"/proc/{pid}").exists()
