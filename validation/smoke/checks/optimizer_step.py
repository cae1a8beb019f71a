"""Optimizer steps change every trainable parameter, and no frozen one."""

import math
from collections.abc import Mapping

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import number_of, table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import backward
from validation.smoke.model import RegisteredModel

CHECK = Check(
    id="smoke.optimizer_step",
    title="Optimizer steps change every trainable parameter",
    proves="After one optimizer step and another forward pass, or at most eight, every trainable parameter differs "
    "from its initial value, every frozen one is unchanged or a moving average of a trainable one, and the loss after "
    "the first is finite.",
    defect="a forward pass that sets a weight back to its initial value",
    severity=Severity.MAJOR,
)
REQUIRES = (backward.CHECK.id,)
_MAX_NAMED = 8


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare digests of every parameter before and after."""
    try:
        reply = model.call_on_batch(run, "model_step")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward", "loss", "backward", "step"))
    if not math.isfinite(number_of(reply, "loss_after")):
        return failed(f"the loss after one step is {number_of(reply, 'loss_after')}")
    averaged = table_of(reply, "averaged")
    trainable, frozen = _digests(reply, "trainable"), _digests(reply, "frozen")
    stuck = sorted(name for name, (before, after) in trainable.items() if before == after)
    moved = sorted(name for name, (before, after) in frozen.items() if before != after and name not in averaged)
    wrong = [f"{name} did not change" for name in stuck] + [f"{name} is frozen and changed" for name in moved]
    more = f" and {len(wrong) - _MAX_NAMED} more" if len(wrong) > _MAX_NAMED else ""
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"Adam moves each of the {len(trainable)} trainable parameters by about its learning rate, 1e-3"
            + (f"; moving averages of trainable ones: {', '.join(sorted(averaged)[:_MAX_NAMED])}" if averaged else ""),
            unit="parameters",
        ),
        otherwise="; ".join(wrong[:_MAX_NAMED]) + more,
        fix="do not overwrite parameters in forward, and register them as parameters",
    )


def _digests(reply: Mapping[str, Plain], key: str) -> dict[str, tuple[str, str]]:
    digests: dict[str, tuple[str, str]] = {}
    for name, pair in table_of(reply, key).items():
        match pair:
            case [str() as before, str() as after]:
                digests[name] = (before, after)
            case _:
                raise ProbeFailure("the target's process sent malformed digests")
    return digests
