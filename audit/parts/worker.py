"""The other side of a gateway: plans again, and carries out one group of the plan after another."""

import json
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audit import provenance
from audit.collected import Collected
from audit.elsewhere.starting import difference
from audit.errors import UsageError
from audit.execute import Execution
from audit.kept import digest_of_neighbours
from audit.parts.commands import PlannedCommand, TargetFlags
from audit.parts.document import PlanDocument, parse_plan
from audit.parts.kept import kept_of
from audit.parts.making import document_of, named_groups, refuse_another
from audit.parts.replies import GroupReply, MachineReply
from audit.plan import Group
from audit.report.document import encodable
from audit.results import Result
from audit.stopping import is_stop_wanted, want_stop
from audit.target import Target

if TYPE_CHECKING:
    import execnet

ALIVE_EVERY_S = 5.0
_END = "end"


def serve_part(channel: "execnet.Channel", given: Mapping[str, object], commands: Mapping[str, PlannedCommand]) -> None:
    """Answer a coordinator until it closes the connection; refuse where this side is another than it wants."""
    if problem := difference(given):
        channel.send(("refused", problem))
        return
    channel.send(("started",))
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()

    def take(message: object) -> None:
        if message == _END:
            want_stop()  # whoever waits for this side is gone, or wants no more: end what runs
        inbox.put(message)

    channel.setcallback(take, endmarker=_END)
    ended = threading.Event()
    threading.Thread(target=_tell_alive, args=(channel, ended), name="alive", daemon=True).start()
    try:
        _serve(channel, inbox, given, commands)
    except UsageError as refused:
        channel.send(("refused", str(refused)))
    except (KeyboardInterrupt, OSError):  # OSError: nobody reads any more
        if not is_stop_wanted():
            raise
    finally:
        ended.set()


def _tell_alive(channel: "execnet.Channel", ended: threading.Event) -> None:
    while not ended.wait(ALIVE_EVERY_S):
        try:
            channel.send(("alive",))
        except OSError:
            return


def _serve(
    channel: "execnet.Channel",
    inbox: "queue.SimpleQueue[object]",
    given: Mapping[str, object],
    commands: Mapping[str, PlannedCommand],
) -> None:
    written = parse_plan(str(given["plan"]), named="the plan")
    command = commands[written.planned_from.command]
    target = TargetFlags(
        folder=Path.cwd(), package=written.planned_from.given_package, seed=written.planned_from.seed, workers=1
    ).load()
    collected = Collected(target)
    try:
        state = provenance.git_state(target.root)
        asked = written.planned_from
        plan = tuple(group for planner in command.planners(asked.profile) for group in planner(collected))
        now = document_of(collected, plan, state, command=asked.command, release=asked.release, profile=asked.profile)
        refuse_another(written, now)
        channel.send(("ready", _machine(collected).model_dump_json()))
        groups = named_groups(plan)
        content = f"{collected.analysis.digest} {digest_of_neighbours(target)}"
        beside = given.get("beside")
        while (name := inbox.get()) != _END:
            assert isinstance(name, str)
            reply = _carried_out(
                channel,
                name,
                groups[name],
                target,
                written,
                command,
                content=content if given.get("cache") else None,
                beside=beside if isinstance(beside, int) else 0,
            )
            channel.send(("done", reply))
    finally:
        collected.close()


def _machine(collected: Collected) -> MachineReply:
    platform, machine = provenance.machine()
    environment = collected.environment
    if collected.probe:  # it starts again where it is needed
        collected.probe.close()
    return MachineReply(
        python=provenance.interpreter(),
        torch=provenance.loaded_torch(),
        platform=platform,
        machine=machine,
        environment=environment,
    )


def _carried_out(
    channel: "execnet.Channel",
    name: str,
    group: Group,
    target: Target,
    written: PlanDocument,
    command: PlannedCommand,
    *,
    content: str | None,
    beside: int,
) -> str:
    def notify(subject: str, results: Sequence[Result]) -> None:
        channel.send(("told", subject.encode("utf-8", "backslashreplace").decode()))

    execution = Execution(
        target,
        (group,),
        notify=notify,
        kept=kept_of(target, content, written) if content else None,
        one_thread=command.one_thread,
        beside=beside,
    )
    execution.run()
    reply = GroupReply(group=name, results=tuple(execution.results), defects=tuple(execution.defects))
    return json.dumps(encodable(reply.model_dump(mode="json")))
