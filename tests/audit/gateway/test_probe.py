"""A probe answers, fails with a reason, starts again, and ends when it is told to."""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.gateway import Limits, Probe, ProbeFailure, TargetRaised

from ...slow_cases import slow_unless

Child = Any
MakeChild = Callable[..., Child]

# Name: code, what the reason says.
FAILURES = {
    "exit": ("import os; os._exit(7)", r"^the target's process exited with status 7 before it answered$"),
    "segfault": ("import ctypes; ctypes.string_at(0)", r"^the target's process was killed by SIGSEGV$"),
    "realtime signal": ("import os; os.kill(os.getpid(), 40)", r"^the target's process was killed by signal 40$"),
    "loop": ("while True: pass", r"^timed out: import_module took longer than 3 s$"),
    "stop": ("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", r"^timed out: "),
    "loop that holds the lock": ("import re; re.match('(a*)*b', 'a' * 40)", r"^timed out: "),
    "flood": ("while True: print('x' * 2 ** 16)", r"^flood of output: more than 1 MiB printed$"),
    "memory of its children": (
        "import os, time\nfor _ in range(2):\n    if os.fork() == 0:\n"
        "        kept = bytearray(b'x') * (450 * 2 ** 20)\n        time.sleep(60)\ntime.sleep(60)",
        r"^out of memory: more than 1000 MiB in use$",
    ),
    "closed descriptors": (
        "import os, time; os.closerange(0, 99); time.sleep(60)",
        r"^(timed out: |the target's process )",
    ),
    "closed descriptors, stopped": (
        "import os, signal; os.closerange(0, 99); os.kill(os.getpid(), signal.SIGSTOP)",
        r"^(timed out: |the target's process )",
    ),
}


@pytest.mark.parametrize("kind", slow_unless({"exit", "segfault", "loop", "flood", "closed descriptors"}, FAILURES))
def test_after_a_failure_the_next_call_has_another_process(
    make_child: MakeChild, is_gone: Callable[[int], bool], kind: str
) -> None:
    code, reason = FAILURES[kind]
    child = make_child(memory_mb=1000, output_mb=1)
    first = int(child.tell("os.getpid()"))
    failure = child.fail(code, within_s=40, timeout_s=3 if "timed out" in reason else 30)
    assert is_gone(first)
    with pytest.raises(ProbeFailure, match=reason):
        raise failure
    assert int(child.tell("os.getpid()")) != first


def test_a_process_starts_with_the_first_call_and_serves_the_following(child: Child, temporary: Path) -> None:
    assert list(temporary.iterdir()) == []
    assert child.tell("os.getpid()") == child.tell("os.getpid()") != str(os.getpid())


def test_an_exception_crosses_as_text_and_the_process_goes_on(child: Child) -> None:
    before = child.tell("os.getpid()")
    with pytest.raises(TargetRaised) as caught:
        child.run("def inner():\n    raise KeyError('name')\ninner()")
    raised = caught.value
    assert (raised.phase, raised.type_name, raised.message) == ("import", "KeyError", "'name'")
    assert [frame.line for frame in raised.frames[-2:]] == [3, 2]
    assert raised.frames[-1].path.endswith(".py")
    assert "KeyError: 'name'" in raised.traceback
    assert child.tell("os.getpid()") == before


def test_close_ends_the_process_and_the_probe_can_be_used_again(
    child: Child, is_gone: Callable[[int], bool], temporary: Path
) -> None:
    first = int(child.tell("os.getpid()"))
    child.probe.close()
    assert is_gone(first)
    assert list(temporary.iterdir()) == []
    child.probe.close()
    assert int(child.tell("os.getpid()")) != first


@pytest.mark.slow
def test_the_time_limit_of_one_call_replaces_the_probes(make_child: MakeChild) -> None:
    short = make_child(timeout_s=2)
    short.run("import time; time.sleep(3)", timeout_s=60)
    assert short.fail("import time; time.sleep(60)").reason == "timed out: import_module took longer than 2 s"
    patient = make_child(timeout_s=600)
    reason = patient.fail("import time; time.sleep(60)", timeout_s=1.5).reason
    assert reason == "timed out: import_module took longer than 1.5 s"


def test_output_is_limited_for_each_call_and_not_for_all_together(make_child: MakeChild) -> None:
    child = make_child(output_mb=1)
    for _ in range(3):
        child.run("print('x' * 700_000)")
    assert child.fail("print('x' * 2 ** 21)").reason == "flood of output: more than 1 MiB printed"


def test_kill_ends_a_call_in_flight(
    child: Child, tmp_path: Path, is_gone: Callable[[int], bool], wait_until_written: Callable[[Path], None]
) -> None:
    written = tmp_path / "pid"
    ended: list[tuple[str, float]] = []

    def call() -> None:
        failure = child.fail(
            f"import os, pathlib\nfile = pathlib.Path({str(written)!r})\nfile.write_text(str(os.getpid()))\n"
            "while True: pass"
        )
        ended.append((failure.reason, time.monotonic()))

    thread = threading.Thread(target=call)
    thread.start()
    wait_until_written(written)
    killed_at = time.monotonic()
    child.probe.kill()
    thread.join(30)
    (reason, ended_at), pid = ended[0], int(written.read_text())
    assert reason == "stopped by the user"
    assert ended_at - killed_at < 10
    assert is_gone(pid)
    with pytest.raises(ProbeFailure, match=r"^stopped before it was called$"):
        child.run("pass")


def test_kill_ends_a_start_that_takes_long(
    make_child: MakeChild, tmp_path: Path, is_gone: Callable[[int], bool], wait_until_written: Callable[[Path], None]
) -> None:
    written, python = tmp_path / "pid", tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho $$ > {written}.part; mv {written}.part {written}\nexec sleep 300\n")
    python.chmod(0o755)
    child = make_child(python)
    reasons: list[str] = []
    thread = threading.Thread(target=lambda: reasons.append(child.fail("pass").reason))
    thread.start()
    wait_until_written(written)
    child.probe.kill()
    thread.join(15)
    assert reasons == ["stopped by the user"]
    assert is_gone(int(written.read_text()))


def test_kill_before_the_first_call_starts_nothing(child: Child, temporary: Path) -> None:
    child.probe.kill()
    with pytest.raises(ProbeFailure, match=r"^stopped before it was called$"):
        child.run("pass")
    assert list(temporary.iterdir()) == []


def test_probes_side_by_side_have_processes_of_their_own(make_child: MakeChild) -> None:
    children = [make_child() for _ in range(2)]
    told: dict[int, list[str]] = {0: [], 1: []}

    def ask(index: int) -> None:
        told[index] += [children[index].tell("os.getpid()") for _ in range(3)]

    threads = [threading.Thread(target=ask, args=(index,)) for index in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [len(pids) for pids in told.values()] == [3, 3]
    assert len({pid for pids in told.values() for pid in pids}) == 2
    assert children[0].fail("import os; os._exit(1)").reason.startswith("the target's process exited")
    assert children[1].tell("os.getpid()") == told[1][0]


def test_a_process_that_ended_between_two_calls_costs_neither(child: Child, is_gone: Callable[[int], bool]) -> None:
    first = int(child.tell("os.getpid()"))
    child.run("import os, threading; threading.Timer(0.3, os._exit, (3,)).start()")
    assert is_gone(first, 30)
    assert int(child.tell("os.getpid()")) != first


def test_a_call_that_fails_in_a_process_harmed_by_another_is_made_again(child: Child) -> None:
    child.run("import sys; sys.modules['json'] = None")
    with pytest.raises(TargetRaised, match="json"):
        child.run("import json")
    child.run("import sys; sys.modules['json'] = None")
    (child.package / "later.py").write_text("import json")
    assert child.probe.call_unharmed("import_module", name="pkg.later")


@pytest.mark.parametrize(
    ("code", "starts"), [("raise ValueError", 2), ("import os; os._exit(1)", 2), ("while True: pass", 1)]
)
def test_a_call_is_made_twice_at_most_and_once_where_its_time_was_up(
    make_child: MakeChild, code: str, starts: int
) -> None:
    child = make_child(timeout_s=3)
    child.run("pass")
    count = child.package / "count"
    (child.package / "again.py").write_text(f"open({str(count)!r}, 'a').write('x')\n{code}\n")
    with pytest.raises((TargetRaised, ProbeFailure)):
        child.probe.call_unharmed("import_module", name="pkg.again")
    assert len(count.read_text()) == starts


@pytest.mark.slow
def test_sending_to_a_process_that_no_longer_reads_ends_in_time(make_child: MakeChild, tmp_path: Path) -> None:
    child = make_child(timeout_s=3)
    child.run("import os, signal, threading; threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGSTOP)).start()")
    time.sleep(1.5)
    ended = threading.Event()

    def call() -> None:
        with pytest.raises(ProbeFailure):
            child.probe.call("import_module", name="x" * 2**22)  # more than a pipe holds
        ended.set()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    in_time = ended.wait(20)
    child.probe.kill()
    thread.join(10)
    assert in_time, "the call outlived its limit of 3 s by far"


def test_the_child_has_the_settings_it_was_given(tmp_path: Path) -> None:
    root, source = tmp_path / "root", tmp_path / "root" / "src"
    (source / "pkg").mkdir(parents=True)
    (source / "pkg" / "__init__.py").write_text(
        "import os, sys, torch\n"
        "raise ValueError(os.getcwd(), sys.path[0], torch.get_num_threads(), os.getpgid(0) == os.getpid())"
    )
    with Probe(
        python=Path(sys.executable), source=source, root=root, package="pkg", limits=Limits(), threads=1
    ) as probe:
        with pytest.raises(TargetRaised) as caught:
            probe.call("import_module", name="pkg")
        assert caught.value.message == str((str(root), str(source), 1, True))
