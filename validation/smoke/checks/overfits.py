"""The model learns one batch, and more of it than a prediction can that does not look at its input."""

import math
from collections.abc import Mapping
from dataclasses import replace

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import numbers_of, text_of
from audit.results import Check, Comparison, Series, Severity
from validation.smoke.checks import optimizer_step
from validation.smoke.model import RegisteredModel
from validation.training.constants import HOW_TO_MEND, cannot_be_beaten

CHECK = Check(
    id="smoke.overfits",
    title="Learns one batch, and beats what does not look at its input",
    proves="Trained on one batch for 60 steps of Adam, or for up to 300 where that is not enough and the loss falls, "
    "the loss falls, and below what a twin reaches in as many steps that is given the same sample in the place of each "
    "one. Where no batch has targets that tell samples apart no prediction needs its input, and where samples differ "
    "in length none fits the targets of another: there it falls below that of the model after as many steps in "
    "directions drawn by chance. The norm of the gradient falls too.",
    defect="a loss whose sign is wrong",
    severity=Severity.CRITICAL,
)
REQUIRES = (optimizer_step.CHECK.id,)
_BATCH = 4
_STEPS = 60
_MOST_STEPS = 300
_LEARNING_RATE = 3e-3
_BUDGET_S = 10.0


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Train on one batch and look at the curves."""
    try:
        reply = run.probe.call(
            "model_overfit",
            specs=model.specs,
            name=model.name,
            seed=run.seed,
            batch_size=_BATCH,
            steps=_STEPS,
            most_steps=_MOST_STEPS,
            budget_s=_BUDGET_S,
            learning_rate=_LEARNING_RATE,
            targets_differ=model.entry.targets_differ,
        )
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward", "loss", "backward", "step"))
    losses, norms = _curve(reply, "losses"), _curve(reply, "norms")
    twin = None if reply.get("twin") is None else _curve(reply, "twin")
    chance = [] if twin else [float(each) for each in numbers_of(reply, "chance")]
    series = tuple(_series(name, curve) for name, curve in _named(losses, norms, twin).items())
    no_twin = (
        "the samples of the batch differ in length, and one does not fit the targets of another"
        if reply.get("is_ragged")
        else "nothing in the batch that the loss compares the output with tells its samples apart"
    )
    return replace(_judged(losses, norms, twin, chance, text_of(reply, "ended"), no_twin), series=series)


def _judged(
    losses: list[float],
    norms: list[float],
    twin: list[float] | None,
    chance: list[float],
    ended: str,
    no_twin: str = "",
) -> Judgement:
    if not all(map(math.isfinite, (*losses, *norms))):
        return failed(f"the loss or the gradient is not finite after {len(losses)} steps")
    steps = f"{len(losses)} steps of Adam at {_LEARNING_RATE:g}"
    others = [loss for loss in chance if math.isfinite(loss)] if twin is None else twin
    bound = min([losses[0], *others])
    if twin is None:
        origin = (
            f"the least of the loss at the beginning, {losses[0]:.4g}, and after {len(chance)} draws of as many steps "
            f"in directions of chance, {min(others, default=math.inf):.4g}; no twin: {no_twin}"
        )
    else:
        origin = (
            f"the least of the loss at the beginning, {losses[0]:.4g}, and of what the twin reaches, {min(twin):.4g}"
        )
    has_learned = bool(others) and losses[-1] < bound and norms[-1] < norms[0]
    if not has_learned and ended == "time":
        return error(f"after {steps} the time was up, {_BUDGET_S:g} s: whether it learns is not known")
    if not has_learned and cannot_be_beaten(bound, min(losses[0], losses[-1]), (*losses, *others)):
        blind = "at the beginning, before anything was learned" if bound == losses[0] else "without its input"
        return error(f"the loss is {bound:.3g} {blind}, and no model can be below that", fix=HOW_TO_MEND)
    reasons = [] if losses[-1] < losses[0] else [f"the loss does not fall: {losses[0]:.4g}, then {losses[-1]:.4g}"]
    if not reasons and losses[-1] >= bound:
        what = "a twin which cannot tell the samples apart" if twin else "steps in directions of chance"
        reasons.append(f"the loss is {losses[-1]:.4g}, no better than that of {what}: {bound:.4g}")
    if not reasons and norms[-1] >= norms[0]:
        return error(
            f"after {steps} on one batch the loss falls, and the gradient does not: {norms[0]:.4g}, then "
            f"{norms[-1]:.4g}; whether it settles is not known",
            fix="let the specs give a batch that is learned in fewer steps, or look for what makes the gradient grow",
        )
    if reasons:
        return failed(f"after {steps} on one batch {'; '.join(reasons)}", fix="look at the loss, its targets and sign")
    return judged(
        Measured(
            value=losses[-1],
            bound=bound,
            comparison=Comparison.AT_MOST,
            origin=f"{origin}; {steps}, the gradient's norm from {norms[0]:.4g} to {norms[-1]:.4g}",
            unit="loss",
        ),
        otherwise="",
    )


def _named(losses: list[float], norms: list[float], twin: list[float] | None) -> dict[str, list[float]]:
    return {"loss": losses, "gradient norm": norms} | ({} if twin is None else {"loss of the twin": twin})


def _series(name: str, curve: list[float]) -> Series:
    return Series(name=name, x_name="step", x=tuple(map(float, range(len(curve)))), y=tuple(curve))


def _curve(reply: Mapping[str, Plain], key: str) -> list[float]:
    numbers = numbers_of(reply, key)
    if not numbers:
        raise ProbeFailure(f"the target's process sent a reply without {key}")
    return [float(each) for each in numbers]
