"""A command whose checks need no torch, as the processes of the tests serve it: several groups, one of which may die.

What the variables of the environment name: CHEAP_MARK is a file that the first process that comes to the victim
writes its id to, to wait there for its end; CHEAP_DIES says that every process ends that comes to it; CHEAP_STOPS that
one is suspended while it plans; CHEAP_KILLED_PLANNING is a file that the first process that plans makes, and is killed
then, or `all`, of whom each is.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from audit.collected import Collected
from audit.judgement import Judgement, Measured, failed, judged
from audit.parts.commands import PlannedCommand
from audit.parts.worker import serve_part
from audit.plan import Group, Plan, PlannedCheck, Run
from audit.results import Check, Severity, Subject, SubjectKind
from audit.stopping import is_stop_wanted

NUM_GROUPS = 9
VICTIM = "model_4"
FAILING = "model_6"
CHECKS = tuple(
    Check(id=f"smoke.{name}", title=name, proves="p", defect="d", severity=Severity.CRITICAL)
    for name in ("first", "second")
)


def plan(collected: Collected) -> Plan:
    groups = []
    for index in range(NUM_GROUPS):
        subject = Subject(kind=SubjectKind.MODEL, spec=f"model_{index}", digest=collected.shown.digest)
        planned = tuple(PlannedCheck(check=check, subject=subject, judge=judge_of(subject.name)) for check in CHECKS)
        groups.append(Group(subject=subject, planned=planned))
    return tuple(groups)


def judge_of(name: str):  # type: ignore[no-untyped-def]
    def judge(run: Run) -> Judgement:
        if name == VICTIM:
            end_here()
        if name == FAILING:
            return failed("it is wrong")
        return judged(Measured(value=run.seed, bound=run.seed, origin="counted"), otherwise="never")

    return judge


def end_here() -> None:
    if os.environ.get("CHEAP_DIES"):
        os.kill(os.getpid(), signal.SIGKILL)
    mark = Path(os.environ.get("CHEAP_MARK", os.devnull))
    if mark == Path(os.devnull) or mark.exists():
        return
    mark.with_suffix(".new").write_text(str(os.getpid()))
    mark.with_suffix(".new").rename(mark)
    for _ in range(1200):
        time.sleep(0.1)
        if is_stop_wanted():  # as a call into the target ends then
            return
    raise AssertionError("nobody ended this process")


COMMANDS = {"smoke": PlannedCommand(name="smoke", planners=lambda profile: [plan], release=True)}


def stopping_plan(collected: Collected) -> Plan:
    os.kill(os.getpid(), signal.SIGSTOP)
    return plan(collected)


def killed_plan(collected: Collected) -> Plan:
    mark = os.environ["CHEAP_KILLED_PLANNING"]
    with suppress(FileExistsError):
        if mark != "all":
            Path(mark).touch(exist_ok=False)
        os.kill(os.getpid(), signal.SIGKILL)
    return plan(collected)


def serve(channel, given):  # type: ignore[no-untyped-def]
    served = killed_plan if os.environ.get("CHEAP_KILLED_PLANNING") else plan
    served = stopping_plan if os.environ.get("CHEAP_STOPS") else served
    serve_part(channel, given, {"smoke": PlannedCommand(name="smoke", planners=lambda profile: [served], release=True)})
