"""Carries out a part of a plan on other machines: each takes the next group when it is done with one."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from audit.elsewhere.process import Connection, GatewayEnded
from audit.elsewhere.specs import GatewaySpec
from audit.elsewhere.starting import Wanted, started
from audit.errors import UsageError
from audit.execute import Notify
from audit.parts.document import PlanDocument, first_problem, plan_json
from audit.parts.replies import BadReply, GroupReply, MachineReply, key_of, read_group
from audit.plan import PlanKey
from audit.report.document import Machine
from audit.report.text import one_line
from audit.results import Defect, Result
from audit.stopping import is_stop_wanted, stop_if_wanted
from audit.target import Target

# It tells every 5 s that it is there, also while it reads a large tree; suspended, or behind a network that
# is gone, it does not.
_SILENT_S = 120.0
_MAX_MOVES = 2  # of a group: what ends three machines is not their doing
_POLL_S = 0.2


class Asked(Protocol):
    """A machine that carries out groups."""

    @property
    def name(self) -> str:
        """As `--gateway` has it."""

    @property
    def machine(self) -> Machine:
        """What it is, in its own words."""

    def carry_out(self, group: str, tell: Callable[[str], None]) -> GroupReply:
        """Return what was measured; raises GatewayEnded or BadReply where nothing is to be had of it any more."""

    def close(self) -> None:
        """End it; from any thread, and twice."""


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A machine that has made the plan again and is ready to carry it out."""

    name: str
    machine: Machine
    connection: Connection
    plan: PlanDocument
    is_stopping: Callable[[], bool]

    def carry_out(self, group: str, tell: Callable[[str], None]) -> GroupReply:
        """Have a group carried out.

        Raises:
            GatewayEnded: it ended, or is silent.
            BadReply: what came is not what was asked for.
        """
        self.connection.send(group)
        while True:
            match self.connection.receive(within_s=_SILENT_S, is_stopping=self.is_stopping):
                case ("alive",):
                    pass
                case ("told", str() as text):
                    tell(text)
                case ("done", content):
                    return read_group(content, self.plan, group)
                case _:
                    raise BadReply("a message that is not one of the toolkit's")

    def close(self) -> None:
        """End the other side."""
        self.connection.close()


def open_gateways(
    specs: Sequence[GatewaySpec],
    plan: PlanDocument,
    target: Target,
    *,
    module: str,
    cache: bool,
    is_stopping: Callable[[], bool] = is_stop_wanted,
) -> tuple[list[Gateway], dict[str, str]]:
    """Start all gateways at once and have each make the plan again.

    Returns:
        Those that are ready; and why, by name, those were lost that had begun, as one whose process was killed.

    Raises:
        UsageError: one cannot be used, or none is ready; says which and why. None is left running.
        KeyboardInterrupt: the user stopped it.
    """
    opened: list[Gateway] = []
    problems: dict[str, str] = {}
    lost: dict[str, str] = {}

    def open_one(spec: GatewaySpec) -> None:
        beside = sum(each.spec.ssh == spec.spec.ssh for each in specs) - 1
        given = {"plan": plan_json(plan), "beside": beside, "cache": cache}
        wanted = Wanted(folder=target.root, commit=plan.planned_from.commit, module=module, given=given)
        try:
            connection = started(spec, wanted, is_stopping=is_stopping)
            try:
                machine = _ready(connection, is_stopping)
            except BaseException as problem:
                connection.close(at_once=True)
                if isinstance(problem, GatewayEnded) and not isinstance(problem, _Refused):
                    lost[spec.name] = str(problem)
                    return
                raise
        except (GatewayEnded, BadReply) as ended:
            problems[spec.name] = str(ended)
            return
        opened.append(
            Gateway(name=spec.name, machine=machine, connection=connection, plan=plan, is_stopping=is_stopping)
        )

    with ThreadPoolExecutor(len(specs), thread_name_prefix="gateway") as pool:
        waiting = [pool.submit(open_one, spec) for spec in specs]
    try:
        for each in waiting:
            each.result()
        stop_if_wanted()
        for spec in specs:
            if spec.name in problems:
                raise UsageError(f"--gateway {spec.name}: {problems[spec.name]}")
        if not opened:
            name, why = next(iter(lost.items()))
            raise UsageError(f"--gateway {name}: {why}")
    except BaseException:
        close_all(opened)
        raise
    return sorted(opened, key=lambda gateway: gateway.name), lost


class _Refused(GatewayEnded):
    """The other side is there, and says why it does not take part: another commit, other files."""


def _ready(connection: Connection, is_stopping: Callable[[], bool]) -> Machine:
    while True:
        match connection.receive(within_s=_SILENT_S, is_stopping=is_stopping):
            case ("alive",):
                pass
            case ("refused", str() as reason):
                raise _Refused(one_line(reason))
            case ("ready", str() as content):
                try:
                    told = MachineReply.model_validate_json(content)
                except ValidationError as error:
                    raise BadReply(f"what it says of its machine cannot be read: {first_problem(error)}") from error
                return Machine(name=connection.name, **dict(told))
            case _:
                raise BadReply("a message that is not one of the toolkit's")


def close_all(gateways: Sequence[Asked]) -> None:
    """End gateways side by side: each may take seconds to end what it has started."""
    if gateways:
        with ThreadPoolExecutor(len(gateways), thread_name_prefix="gateway-end") as pool:
            list(pool.map(lambda gateway: gateway.close(), gateways))


class GatewayExecution:
    """One run of a part's groups on gateways; as `Execution` has it, `results` grows while it runs."""

    def __init__(
        self,
        plan: PlanDocument,
        groups: Sequence[str],
        gateways: Sequence[Asked],
        *,
        notify: Notify,
        lost: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare; the gateways are this object's to close. `lost` says why others ended before, by name."""
        self._plan = plan
        self._waiting = list(groups)
        self._moves = dict.fromkeys(groups, 0)
        self._running: dict[str, str] = {}  # group by gateway
        self._gateways = list(gateways)
        self._notify = notify
        self._changed = threading.Condition()
        self._stopping = False
        self._lost: dict[str, str] = {}
        self.results: list[Result] = []
        self.defects: list[Defect] = []
        self.reported: set[PlanKey] = set()
        self.has_failed_fast = False
        self.ended: dict[str, str] = dict(lost or {})  # why, by gateway
        self._most_gpus = max((_gpus(each) for each in gateways), default=0)

    def run(self) -> None:
        """Have every group carried out, as long as there is a gateway.

        Raises:
            KeyboardInterrupt: the user stopped the run; `results` holds what was finished.
        """
        problems: list[BaseException] = []

        def serve(gateway: Asked) -> None:
            try:
                self._serve(gateway)
            except BaseException as problem:
                problems.append(problem)
                raise

        threads = [
            threading.Thread(target=serve, args=(each,), name=f"gateway-{each.name}", daemon=True)
            for each in self._gateways
        ]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                stop_if_wanted()
                for thread in threads:
                    thread.join(_POLL_S / len(threads))
        finally:
            with self._changed:
                self._stopping = True
                self._changed.notify_all()
            close_all(self._gateways)
        if problems:
            raise problems[0]

    def absent(self, key: PlanKey) -> str | None:
        """Return why a planned check has no result."""
        group = next(each.group for each in self._plan.instances if each.key == key)
        if group in self._lost:
            return f"the gateway {self._lost[group]} ended"
        return f"all gateways ended: {'; '.join(f'{name}: {why}' for name, why in sorted(self.ended.items()))}"

    def _serve(self, gateway: Asked) -> None:
        while (group := self._next(gateway)) is not None:
            try:
                self._notify(f"{gateway.name}: {group}", [])
                reply = gateway.carry_out(group, lambda text: self._notify(f"{gateway.name}: {text}", []))
                self._take(gateway, group, reply)
            except (GatewayEnded, BadReply) as ended:
                self._give_back(gateway, group, str(ended))
                gateway.close()
                return

    def _next(self, gateway: Asked) -> str | None:
        """Return the next group that the gateway may take; wait while others may give theirs back."""
        with self._changed:
            while not self._stopping:
                for group in self._waiting:
                    if min(self._plan.gpus(group), self._most_gpus) <= _gpus(gateway):
                        self._waiting.remove(group)
                        self._running[gateway.name] = group
                        return group
                if not self._running and not self._waiting:
                    return None
                self._changed.wait(_POLL_S)
        return None

    def _take(self, gateway: Asked, group: str, reply: GroupReply) -> None:
        instances = self._plan.groups[group]
        with self._changed:
            if self._stopping:
                return
            if {each.id for each in reply.defects} & {each.id for each in self.defects}:
                raise BadReply("a defect with the id of another one")
            named = [_measured_on(each, gateway.machine.name) for each in reply.results]
            self.results += named
            self.defects += reply.defects
            self.reported |= {each.key for each in instances}
            del self._running[gateway.name]
            self._changed.notify_all()
        for instance in instances:
            own = [each for each in named if key_of(each) == instance.key]
            # Where the check named another subject, the bar counts it all the same.
            self._notify(instance.subject.name, own or [each for each in named if each.check == instance.check][:1])

    def _give_back(self, gateway: Asked, group: str, reason: str) -> None:
        with self._changed:
            self._running.pop(gateway.name, None)
            if self._stopping:
                return
            self.ended[gateway.name] = reason
            if self._moves[group] == _MAX_MOVES:
                self._lost[group] = gateway.name
            else:
                self._moves[group] += 1
                self._waiting.insert(0, group)
            left = [each for each in self._gateways if each.name not in self.ended]
            self._most_gpus = max(map(_gpus, left), default=0)
            if not left:
                self._lost.update(dict.fromkeys([group], gateway.name))
            self._changed.notify_all()


def _measured_on(result: Result, machine: str) -> Result:
    return result.model_copy(update={"evidence": result.evidence.model_copy(update={"machine": machine})})


def _gpus(gateway: Asked) -> int:
    environment = gateway.machine.environment
    return len(environment.devices) if environment else 0


def machines_of(gateways: Sequence[Asked], results: Sequence[Result]) -> tuple[Machine, ...]:
    """Return the machines that results were measured on."""
    named: Mapping[str, Machine] = {each.machine.name: each.machine for each in gateways}
    return tuple(named[name] for name in sorted({each.evidence.machine or "" for each in results} & named.keys()))
