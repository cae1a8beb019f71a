"""In half types and under autocast the outputs stay near those of float32."""

import math
import sys
from collections.abc import Mapping

import torch

from audit.attention.rounding import DRAWS, STEPS
from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, not_applicable
from audit.plan import Run
from audit.raised import describe_raised
from audit.replies import text_of
from audit.results import Check, Comparison, Severity
from validation.smoke.alike import Gap, gaps, judge_gaps, loaded
from validation.smoke.checks import determinism
from validation.smoke.compare import difference, unusable
from validation.smoke.model import PAIR, RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.low_precision",
    title="Low precision stays near float32",
    proves="The model in bfloat16 and float16, and in float32 under autocast, gives the outputs of float32 as "
    "nearly as "
    "rounding in these types allows, and what a pass under autocast leaves in a model does not change its float32 "
    "outputs; what it refuses is no promise of the specs.",
    defect="a sum of squares that overflows in float16",
    severity=Severity.MAJOR,
)
REQUIRES = (determinism.CHECK.id,)
_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_ORIGIN = (
    f"{STEPS} operations of a layer that round by half a unit in the last place of the type x the largest change of "
    f"the float32 output over {DRAWS} draws in which every parameter moves by that, plus 2 x the rounding of the "
    "result (of a single number: of each of these operations)"
)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare every way of running in low precision with float32."""
    declared = model.entry.dtypes
    low = None if declared is None else [each for each in declared if each != "float64"]
    if low == []:
        return not_applicable(f"the specs declare its dtypes, and none is below float32: {', '.join(declared or [])}")
    wanted = [each for each in _DTYPES if low is None or any(each in way for way in low)]
    try:
        reply = model.call_on_batch(run, "model_lower", batch_size=PAIR, dtypes=list(wanted))
    except TargetRaised as raised:
        return error(describe_raised(raised, run.target))
    full = tensors_of(reply, "full")
    if problem := unusable(full):
        return error(f"no reference to compare with: {problem}")
    outputs, refused = reply.get("low"), reply.get("refused")
    if not isinstance(outputs, dict) or not isinstance(refused, dict):
        raise ProbeFailure("the target's process sent a reply without outputs in low precision")
    for way in low or []:
        if way in refused:
            return failed(f"the specs declare {way}, and it is refused: {text_of(refused, way)}")
    found: list[Gap] = []
    for way, data in outputs.items():
        if low is not None and way not in low:
            continue
        moves = reply.get(f"moved.{way}")
        moved = [loaded(each) for each in moves] if isinstance(moves, list) else []
        if len(moved) != DRAWS:
            raise ProbeFailure("the target's process sent a reply without moved outputs")
        found += _gaps(way, full, loaded(data), moved)
    if kept := _left_behind(reply, full, outputs):
        return kept
    if not found:
        reasons = "; ".join(f"{way}: {text_of(refused, way)}" for way in sorted(refused))
        return not_applicable(f"the specs promise no dtype below float32, and it refuses each: {reasons}")
    left_out = f"; refused and not promised: {', '.join(sorted(refused))}" if refused else ""
    return judge_gaps(
        found,
        origin=_ORIGIN + left_out,
        otherwise="the output is farther from that of float32 than rounding explains",
        fix="compute sums, means, norms, softmax and angles in float32 and round their results",
    )


def _left_behind(
    reply: Mapping[str, Plain], full: dict[str, torch.Tensor], ways: Mapping[str, Plain]
) -> Judgement | None:
    """Return that a float32 pass behind one under autocast is not what it is without; None where they are equal."""
    broken = reply.get("broken")
    for way in ways:
        if not way.startswith("autocast"):
            continue
        if isinstance(broken, dict) and way in broken:
            said, apart = f"a pass in float32 raises: {text_of(broken, way)}", math.inf
        elif apart := difference(full, tensors_of(reply, f"after.{way}")):
            said = "the same batch in float32 no longer gives what it gives in a new model"
        if apart:
            return failed(
                f"what the first call computes stays in its dtype: after a pass under {way}, {said}",
                measured=Measured(
                    value=min(apart, sys.float_info.max),
                    bound=0.0,
                    comparison=Comparison.EQUAL,
                    origin="the same weights and input: the same operations in the same order",
                    unit="max abs difference",
                ),
                fix="compute tables that are kept, such as those of rotary positions, in float32, and round them for "
                "each call",
            )
    return None


def _gaps(
    way: str, full: dict[str, torch.Tensor], low: dict[str, torch.Tensor], moved: list[dict[str, torch.Tensor]]
) -> list[Gap]:
    dtype = _DTYPES[way.removeprefix("autocast ")]
    floating = {name: tensor for name, tensor in full.items() if tensor.is_floating_point()}
    # What the result itself is rounded to: nothing where the model gives it in float32.
    rounded = {
        name: tensor.to(dtype) if name in low and low[name].dtype == dtype else tensor
        for name, tensor in floating.items()
    }
    exact = gaps(floating, low, moved, factor=STEPS / 2)
    result = gaps(rounded, low, [], factor=STEPS / 2)
    return [
        Gap(name=f"{each.name} in {way}", error=each.error, bound=each.bound + own.bound, extent=each.extent)
        for each, own in zip(exact, result, strict=True)
    ]
