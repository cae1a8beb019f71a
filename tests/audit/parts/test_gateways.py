import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from audit.elsewhere.specs import read_gateways
from audit.errors import UsageError
from audit.parts import gateways
from audit.parts.document import PlanDocument
from audit.parts.elsewhere import PartElsewhere
from audit.parts.making import plan_of
from audit.parts.merge import merge_files
from audit.parts.running import PartHere, request_for
from audit.parts.shards import groups_of_part
from audit.report.document import Report
from audit.results import Outcome
from audit.session import STOPPED, Request, conduct
from audit.stopping import want_stop
from audit.target import Target

Committed = Callable[..., Target]


def planned(target: Target, cheap: ModuleType) -> PlanDocument:
    return plan_of(target, [cheap.plan], command="smoke", release=True)


def over_gateways(target: Target, cheap: ModuleType, *specs: str, cache: bool = False) -> Report:
    command = cheap.COMMANDS["smoke"]
    part = PartElsewhere(
        planned(target, cheap),
        command,
        label="all groups",
        choosing=groups_of_part,
        gateways=read_gateways(specs),
        module="cheap_worker",
        cache=cache,
    )
    return conduct(target, request_for(part, command))


def in_one_run(target: Target, cheap: ModuleType) -> Report:
    return conduct(target, Request(command="smoke", planners=[cheap.plan], release=True))


def merged(target: Target, cheap: ModuleType, folder: Path, *reports: Report) -> Report:
    paths = []
    for index, report in enumerate(reports):
        paths.append(folder / f"part{index}.json")
        paths[-1].write_text(report.model_dump_json())
    return merge_files(planned(target, cheap), paths)


def without_times_and_places(report: Report) -> object:
    """Return all that a report says but for times, the command line, and the machines, which are several here."""
    content = json.loads(report.model_dump_json())
    content.pop("machines")
    for key in ("command", "started_at", "finished_at", "torch"):
        content["provenance"].pop(key)
    for result in content["results"]:
        for key in ("duration_s", "measured_at", "measured_commit", "machine"):
            result["evidence"].pop(key)
    return content


def kill_when_marked(mark: Path) -> threading.Thread:
    def wait() -> None:
        while not mark.exists():
            time.sleep(0.02)
        os.kill(int(mark.read_text()), signal.SIGKILL)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_a_gateway_that_is_killed_in_the_middle_loses_nothing(
    committed: Committed, cheap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = committed()
    monkeypatch.setenv("CHEAP_MARK", str(tmp_path / "mark"))
    killer = kill_when_marked(tmp_path / "mark")
    part = over_gateways(target, cheap, "4*popen")
    killer.join(timeout=1)
    assert not killer.is_alive()
    assert part.partial
    assert part.verdict is None
    assert part.partial_reason
    assert part.partial_reason.startswith("all groups: 9 of 9 groups of plan ")
    assert {result.outcome for result in part.results} == {Outcome.PASSED, Outcome.FAILED}
    assert {result.evidence.machine for result in part.results} <= {f"popen#{number}" for number in range(1, 5)}
    whole = merged(target, cheap, tmp_path, part)
    assert without_times_and_places(whole) == without_times_and_places(in_one_run(target, cheap))
    assert whole.verdict == "not ready"


def test_a_gateway_that_is_killed_while_it_plans_leaves_its_work_to_the_others(
    committed: Committed, cheap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = committed()
    monkeypatch.setenv("CHEAP_KILLED_PLANNING", str(tmp_path / "killed"))
    part = over_gateways(target, cheap, "3*popen")
    assert (tmp_path / "killed").exists()
    assert len({result.evidence.machine for result in part.results}) <= 2
    whole = merged(target, cheap, tmp_path, part)
    assert without_times_and_places(whole) == without_times_and_places(in_one_run(target, cheap))


def test_where_every_gateway_is_killed_while_it_plans_one_is_named(
    committed: Committed, cheap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = committed()
    monkeypatch.setenv("CHEAP_KILLED_PLANNING", "all")
    with pytest.raises(UsageError, match=r"^--gateway popen#\d: killed by signal 9$"):
        over_gateways(target, cheap, "2*popen")


def test_a_gateway_that_falls_silent_while_it_plans_is_given_up(
    committed: Committed, cheap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = committed()
    monkeypatch.setenv("CHEAP_STOPS", "1")
    monkeypatch.setattr(gateways, "_SILENT_S", 7.0)  # it tells every 5 s that it is there
    with pytest.raises(UsageError, match=r"^--gateway popen: silent for 7 s$"):
        over_gateways(target, cheap, "popen")


def test_a_group_that_ends_every_gateway_is_given_up_after_three(
    committed: Committed, cheap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = committed()
    monkeypatch.setenv("CHEAP_DIES", "1")
    part = over_gateways(target, cheap, "4*popen")
    lost = [result for result in part.results if result.outcome is Outcome.ERROR]
    assert {result.subject.name for result in lost} == {cheap.VICTIM}
    (reason,) = {result.reason for result in lost}
    assert reason in {f"never reported: the gateway popen#{number} ended" for number in range(1, 5)}
    assert len(part.results) == cheap.NUM_GROUPS * len(cheap.CHECKS)
    assert merged(target, cheap, tmp_path, part).exit_code == 1


def test_where_all_gateways_end_what_was_measured_stays(
    committed: Committed, cheap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = committed()
    monkeypatch.setenv("CHEAP_DIES", "1")
    part = over_gateways(target, cheap, "popen")
    outcomes = [result.outcome for result in part.results]
    assert outcomes.count(Outcome.PASSED) == 8  # of the four groups before the one that ends it
    reasons = {result.reason for result in part.results if result.outcome is Outcome.ERROR}
    assert "never reported: the gateway popen ended" in reasons
    assert "never reported: all gateways ended: popen: killed by signal 9" in reasons


def test_a_gateway_goes_on_with_what_an_earlier_run_of_the_plan_measured(
    committed: Committed, cheap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = committed()
    monkeypatch.setenv("ASTROBIO_AUDIT_CACHE", str(tmp_path / "cache"))
    first = over_gateways(target, cheap, "popen", cache=True)
    again = over_gateways(target, cheap, "popen", cache=True)
    assert all(result.evidence.measured_at is None for result in first.results)
    assert all(result.evidence.measured_at is not None for result in again.results)


def refusal(target: Target, cheap: ModuleType, *specs: str) -> str:
    with pytest.raises(UsageError) as refused:
        over_gateways(target, cheap, *specs)
    return str(refused.value)


def test_a_gateway_at_another_commit_is_refused(committed: Committed, cheap: ModuleType, tmp_path: Path) -> None:
    target = committed()
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "-q", str(target.root), str(other)], check=True)
    git = ["git", "-C", str(other), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "second"], check=True)
    told = refusal(target, cheap, "popen", f"popen//chdir={other}")
    assert told.startswith(f"--gateway popen//chdir={other}: another commit: ")


def test_a_gateway_with_other_files_is_refused(committed: Committed, cheap: ModuleType, tmp_path: Path) -> None:
    target = committed()
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "-q", str(target.root), str(other)], check=True)
    (other / "zoo" / "more.py").write_text("x = 1\n")
    told = refusal(target, cheap, f"popen//chdir={other}")
    assert "the plan is not that of this target: whether files differ from the commit was no and is yes" in told


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("popen//python=/nowhere/python", "cannot be started: No such file or directory"),
        ("popen//python=/bin/false", "no Python answers there"),
        (f"popen//python={sys.executable} -I -S", "the toolkit is not there: No module named"),
        ("popen//chdir=/nowhere/else", "no folder /nowhere/else there: No such file or directory"),
        ("ssh=nobody.invalid", ""),  # of the machine's ssh, or that there is none
    ],
)
def test_a_gateway_that_cannot_be_used_is_named_with_its_reason(
    committed: Committed, cheap: ModuleType, spec: str, reason: str
) -> None:
    told = refusal(committed(), cheap, spec)
    assert told.startswith(f"--gateway {spec}: {reason}")
    assert "\n" not in told


def test_a_part_here_and_one_on_a_gateway_are_merged(committed: Committed, cheap: ModuleType, tmp_path: Path) -> None:
    target = committed()
    command = cheap.COMMANDS["smoke"]
    plan = planned(target, cheap)

    def first(plan: PlanDocument) -> tuple[str, ...]:
        return groups_of_part(plan, shard=(1, 2))

    def second(plan: PlanDocument) -> tuple[str, ...]:
        return groups_of_part(plan, shard=(2, 2))

    here = PartHere(plan, command, label="shard 1/2", choosing=first, cache=False)
    there = PartElsewhere(
        plan,
        command,
        label="shard 2/2",
        choosing=second,
        gateways=read_gateways(["popen"]),
        module="cheap_worker",
        cache=False,
    )
    reports = [conduct(target, request_for(part, command)) for part in (there, here)]
    whole = merged(target, cheap, tmp_path, *reports)
    assert [machine.name for machine in whole.machines] == ["shard 1/2", "shard 2/2: popen"]
    assert without_times_and_places(whole) == without_times_and_places(in_one_run(target, cheap))


def test_a_run_that_is_stopped_ends_every_process_and_keeps_what_it_has(
    committed: Committed, cheap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = committed()
    mark = tmp_path / "mark"
    monkeypatch.setenv("CHEAP_MARK", str(mark))
    monkeypatch.setattr("audit.stopping._wanted", threading.Event())

    def stop() -> None:
        while not mark.exists():
            time.sleep(0.02)
        want_stop()

    stopper = threading.Thread(target=stop, daemon=True)
    stopper.start()
    part = over_gateways(target, cheap, "popen")
    assert (part.partial_reason, part.interrupted, part.exit_code) == (STOPPED, True, 3)
    assert [result.outcome for result in part.results].count(Outcome.PASSED) == 8
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
    assert part.part is not None
    assert merged(target, cheap, tmp_path, part).verdict is None
