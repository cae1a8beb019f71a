"""What backward gives is the derivative of the loss."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from audit.attention.rounding import STEPS
from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged, not_applicable
from audit.plan import Run
from audit.raised import describe_raised
from audit.replies import number_of, text_of
from audit.results import Check, Comparison, Outcome, Severity
from validation.smoke.checks import determinism, optimizer_step
from validation.smoke.model import RegisteredModel

CHECK = Check(
    id="smoke.gradcheck",
    title="Gradients are the derivatives of the loss",
    proves="In float64, along random directions over all parameters, and over all floating-point inputs that keep "
    "their digits on the way to the loss, the derivative that backward gives is the slope of the loss, as nearly as "
    "central differences tell; what is detached is held as it is where the specs say that this is meant.",
    defect="a backward of its own that forgets a factor",
    severity=Severity.CRITICAL,
)
REQUIRES = (optimizer_step.CHECK.id, determinism.CHECK.id)
_BATCH = 2
_FIX_OF_STOPPED = (
    "what is off is what forward or loss detaches, or computes without gradients: let its gradient through, or "
    "declare `'stops_gradients': True` where that is meant"
)
# Curvature halves with the step, and a kink does not: of one, what is left is as much as the bend itself.
_OF_A_KINK = 0.25  # of the bend, at the least
_EXPLAINS = 0.1  # of what the slope is off by, at the least: less is beside the matter
_AWAY = ("scaled", "shifted")  # how numbers are moved off a kink, the gentler one first
_SHARP = 1e-2  # of the slope: where differences tell it less well, the loss is no smooth function there


@dataclass(frozen=True, kw_only=True)
class _Direction:
    of: str
    slope: float
    error: float
    bound: float
    kink: float  # how much the slope ahead is more than that behind, where that is more than curvature and rounding

    @property
    def is_at_a_kink(self) -> bool:
        """Whether the loss has no derivative here, so that what backward gives is off without a mistake."""
        return self.kink > _EXPLAINS * self.error


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare the slopes with differences."""
    declared = model.entry.dtypes
    if declared is not None and "float64" not in declared:
        return not_applicable(f"the specs declare its dtypes, and float64 is none of them: {', '.join(declared)}")
    stops = model.entry.stops_gradients
    try:
        reply = _reply(model, run, holds_stopped=stops)
    except TargetRaised as raised:
        reason = describe_raised(raised, run.target)
        if declared is not None and not raised.is_of_the_machine:
            return failed(f"the specs declare float64, and {reason}")
        return not_applicable(f"it does not run in float64, which the specs do not promise: {reason}")
    judgement = _judged(reply, stops=stops)
    if judgement.outcome is Outcome.FAILED and not stops and _is_explained_by_stops(model, run):
        return replace(judgement, fix=_FIX_OF_STOPPED)
    if judgement.outcome is Outcome.FAILED and _is_explained_by_kinks(reply):
        return _judged_beside_the_kink(model, run, judgement, stops=stops)
    return judgement


def _judged_beside_the_kink(model: RegisteredModel, run: Run, judgement: Judgement, *, stops: bool) -> Judgement:
    """Judge where all numbers have been moved a little: at a kink itself there is no derivative to compare with."""
    for away in _AWAY:
        try:
            reply = _reply(model, run, holds_stopped=stops, away=away)
        except TargetRaised:  # it does not take such numbers: nothing is known of it there
            continue
        if not math.isfinite(number_of(reply, "loss")):
            continue
        beside = _judged(reply, stops=stops, where="; beside the inputs and weights themselves, where it has a kink")
        if beside.outcome is Outcome.PASSED or (beside.outcome is Outcome.FAILED and not _is_explained_by_kinks(reply)):
            return beside
    return error(
        f"the loss has a kink at these very inputs and weights, as of a clamp or a maximum: {judgement.reason}, and on "
        "one side of it that may be right",
        fix="let 'inputs' give numbers that lie on no bound of a clamp and on no tie",
    )


def _is_explained_by_kinks(reply: Mapping[str, Plain]) -> bool:
    """Whether every direction along which the slope is off has a kink."""
    off = [each for each in _directions(reply, _rounding(reply)) if each.error > each.bound]
    return bool(off) and all(each.is_at_a_kink for each in off)


def _is_explained_by_stops(model: RegisteredModel, run: Run) -> bool:
    try:
        return _judged(_reply(model, run, holds_stopped=True), stops=True).outcome is Outcome.PASSED
    except TargetRaised:  # it did not before: what was found stands without an explanation
        return False


def _reply(model: RegisteredModel, run: Run, *, holds_stopped: bool, away: str = "") -> Mapping[str, Plain]:
    return run.probe.call(
        "model_along_directions",
        specs=model.specs,
        name=model.name,
        seed=run.seed,
        batch_size=_BATCH,
        holds_stopped=holds_stopped,
        away=away,
    )


def _rounding(reply: Mapping[str, Plain]) -> float:
    # All draws may give the same number by chance, and the loss itself is rounded all the same.
    return max(number_of(reply, "moved"), abs(number_of(reply, "loss")) * sys.float_info.epsilon)


def _judged(reply: Mapping[str, Plain], *, stops: bool, where: str = "") -> Judgement:
    if text_of(reply, "inner") != "float64":
        return not_applicable(
            f"on the way to its loss numbers in float64 become {text_of(reply, 'inner')}, too coarse for differences"
        )
    directions = _directions(reply, _rounding(reply))
    unmoved = "" if reply.get("unmoved") is None else text_of(reply, "unmoved")
    flat = [each for each in directions if each.slope == 0 and each.error == 0]
    sharp = [each for each in directions if each not in flat and each.bound <= _SHARP * _size(each)]
    if not sharp:
        return error(
            "the loss is no smooth function near these inputs: central differences over a step and over half of it "
            "differ by more than a hundredth"
        )
    worst = max(sharp, key=lambda each: each.error / each.bound if each.bound else float(each.error > 0))
    return judged(
        Measured(
            value=worst.error,
            bound=worst.bound,
            comparison=Comparison.AT_MOST,
            origin="the change of the central difference when its step is halved, three times what is then left of its "
            f"error (Richardson), plus what rounding does to the loss, {STEPS} x its change when every number moves by "
            "one unit in the last place of float64 (at the least x that unit of the loss), over the step; slope "
            f"{worst.slope:.6g} along the {worst.of}, the worst of {len(sharp)} directions"
            + (", of the specs' tiny model" if reply.get("tiny") else "")
            + (f"; inputs are not judged, for they are cut to {unmoved}" if unmoved else "")
            + (", with what is detached on purpose held as it was" if stops else "")
            + where,
            unit="difference of slopes",
        ),
        otherwise=f"backward says that the loss changes by {worst.slope:.6g} along the {worst.of}, and that is off by "
        f"{worst.error:.3g}",
        fix="compare the backward of each autograd.Function with torch.autograd.gradcheck, and look for what is "
        "detached",
    )


def _size(direction: _Direction) -> float:
    return max(abs(direction.slope), direction.error)


def _directions(reply: Mapping[str, Plain], rounding: float) -> list[_Direction]:
    listed = reply.get("directions")
    found = []
    for each in listed if isinstance(listed, list) else []:
        match each:
            case {
                "of": str() as of,
                "slope": float() as slope,
                "steps": [float(), float() as step],
                "differences": [float() as first, float() as second],
                "bends": [float() as wide, float() as narrow],
            }:
                bound = abs(first - second) + STEPS * rounding / step
                left = abs(2 * narrow - wide)  # of a smooth loss nothing, but for rounding
                is_kink = left > max(_OF_A_KINK * abs(wide), 4 * STEPS * rounding / step)
                found.append(
                    _Direction(
                        of=of, slope=slope, error=abs(second - slope), bound=bound, kink=left if is_kink else 0.0
                    )
                )
            case _:
                raise ProbeFailure("the target's process sent a malformed direction")
    if not found:
        raise ProbeFailure("the target's process sent a reply without directions")
    return found
