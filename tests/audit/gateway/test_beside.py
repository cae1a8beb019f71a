"""A probe beside another has a process of its own, and ends with the other."""

from collections.abc import Callable
from typing import Any

import pytest

from audit.gateway import ProbeFailure


def pid_of(child: Any, probe: Any) -> int:
    own, child.probe = child.probe, probe
    try:
        return int(child.tell("os.getpid()"))
    finally:
        child.probe = own


def test_a_probe_beside_another_has_a_process_of_its_own_for_each_name(child: Any) -> None:
    first, second = (child.probe.beside(name) for name in ("one", "two"))
    assert child.probe.beside("one") is first
    pids = [pid_of(child, probe) for probe in (child.probe, first, second)]
    assert len(set(pids)) == 3
    assert pid_of(child, first) == pids[1]


def test_closing_a_probe_ends_those_beside_it(child: Any, is_gone: Callable[[int], bool]) -> None:
    pid = pid_of(child, child.probe.beside("one"))
    child.probe.close()
    assert is_gone(pid)
    assert pid_of(child, child.probe.beside("one")) != pid
    child.probe.close()


def test_a_killed_probe_starts_nothing_beside_it(child: Any) -> None:
    other = child.probe.beside("one")
    child.probe.kill()
    with pytest.raises(ProbeFailure, match="stopped before it was called"):
        other.call("environment")
