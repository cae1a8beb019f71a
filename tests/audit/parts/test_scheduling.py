"""Which gateway gets which group, tried with gateways that are no processes."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from audit.elsewhere.process import GatewayEnded
from audit.parts.document import PlanDocument
from audit.parts.gateways import GatewayExecution
from audit.parts.replies import BadReply, GroupReply
from audit.report.document import Device, Environment, Machine
from audit.results import Comparison, Evidence, Outcome, Result, Severity

MakePlan = Callable[..., PlanDocument]
EVIDENCE = Evidence(measured=0, bound=0, comparison=Comparison.EQUAL, bound_origin="counted")


@dataclass
class Fake:
    """A gateway that carries out so many groups before it ends, and none of those that it is no match for."""

    name: str
    plan: PlanDocument
    gpus: int = 0
    lives: int = 1000
    problem: Exception = field(default_factory=lambda: GatewayEnded("gone"))
    done: list[str] = field(default_factory=list)
    is_closed: bool = False
    wait_for: threading.Event | None = None

    @property
    def machine(self) -> Machine:
        devices = tuple(Device(name="gpu", memory_bytes=1, capability="9.0") for _ in range(self.gpus))
        environment = Environment(
            python="3", torch="2", cuda=None, devices=devices, libraries={}, threads=1, cpu_count=1, memory_bytes=1
        )
        return Machine(name=self.name, python="3", torch=None, platform="p", machine="m", environment=environment)

    def carry_out(self, group: str, tell: Callable[[str], None]) -> GroupReply:
        if self.wait_for:
            assert self.wait_for.wait(10)
        if len(self.done) >= self.lives:
            raise self.problem
        self.done.append(group)
        results = tuple(
            Result(
                check=each.check,
                outcome=Outcome.PASSED,
                severity=Severity.CRITICAL,
                subject=each.subject,
                evidence=EVIDENCE,
            )
            for each in self.plan.groups[group]
        )
        return GroupReply(group=group, results=results, defects=())

    def close(self) -> None:
        self.is_closed = True


def run(plan: PlanDocument, *fakes: Fake) -> GatewayExecution:
    execution = GatewayExecution(plan, list(plan.groups), fakes, notify=lambda subject, results: None)
    execution.run()
    assert all(fake.is_closed for fake in fakes)
    return execution


def test_groups_that_need_gpus_go_where_there_are_enough(make_plan: MakePlan) -> None:
    plan = make_plan([(1, 0), (1, 1), (1, 2), (1, 0)])
    fakes = [Fake("none", plan), Fake("one", plan, gpus=1), Fake("two", plan, gpus=2)]
    execution = run(plan, *fakes)
    assert len(execution.results) == 4
    assert "model:model_2" in fakes[2].done
    assert "model:model_1" in fakes[1].done + fakes[2].done


def test_without_a_gpu_anywhere_every_group_is_carried_out_all_the_same(make_plan: MakePlan) -> None:
    plan = make_plan([(1, 0), (1, 4)])
    assert len(run(plan, Fake("none", plan)).results) == 2


def test_a_gateway_waits_for_what_another_may_give_back(make_plan: MakePlan) -> None:
    plan = make_plan([(1, 0), (1, 1)])
    ended = threading.Event()
    patient = Fake("patient", plan)
    dying = Fake("dying", plan, gpus=1, lives=0, wait_for=ended)
    threading.Timer(0.5, ended.set).start()  # by then the other has nothing left to do
    execution = run(plan, patient, dying)
    assert sorted(patient.done) == sorted(plan.groups)
    assert execution.ended == {"dying": "gone"}


def test_a_gateway_that_lies_is_not_asked_again(make_plan: MakePlan) -> None:
    plan = make_plan([(1, 0)] * 4)
    liar = Fake("liar", plan, lives=0, problem=BadReply("nonsense"))
    execution = run(plan, liar, Fake("honest", plan))
    assert len(execution.results) == 4
    assert {result.evidence.machine for result in execution.results} == {"honest"}


def test_what_ends_three_gateways_is_given_up(make_plan: MakePlan) -> None:
    plan = make_plan([(1, 0)])
    execution = run(plan, *(Fake(f"g{number}", plan, lives=0) for number in range(4)))
    assert len(execution.ended) == 3
    (instance,) = plan.instances
    assert execution.absent(instance.key) in {f"the gateway g{number} ended" for number in range(4)}
