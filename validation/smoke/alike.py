"""How far two runs that should agree may be apart: by what rounding does to the model, measured on the model itself."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from audit.attention.bounds import distance, rounding_of
from audit.attention.rounding import DRAWS, STEPS
from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.replies import names_of, text_of
from audit.results import Comparison
from validation.smoke.model import listed, tensors_of

Tensors = Mapping[str, Tensor]
ORIGIN = (
    f"2 x {STEPS} operations of a layer that round x the largest change over {DRAWS} draws in which every parameter, "
    "buffer and input moves by one unit in the last place of float32, or of a coarser type that it computes in, plus "
    "2 x the rounding of the result (of a single number: of each of these operations)"
)


def inseparable(reply: Mapping[str, Plain]) -> Judgement | None:
    """Return what is judged where the samples of a batch cannot be taken apart; None where they can."""
    if reply.get("joined") is not None:
        return not_applicable(f"the samples of a batch cannot be taken apart: {text_of(reply, 'joined')}")
    if not names_of(reply, "batched"):
        return not_applicable("nothing in the inputs follows the number of samples, so there is no sample to take")
    return None


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The distance between two runs in one tensor, and how far they may be apart there."""

    name: str
    error: float
    bound: float
    extent: float  # of the reference: from its least to its largest element, or its size where all are the same

    @property
    def ratio(self) -> float:
        """The distance in units of the bound."""
        if self.error == 0:
            return 0.0
        return self.error / self.bound if self.bound > 0 and math.isfinite(self.bound) else math.inf


def gaps(reference: Tensors, found: Tensors, moved: Sequence[Tensors], *, factor: float = 2.0 * STEPS) -> list[Gap]:
    """Return the gap in each tensor of the reference; infinite where `found` lacks it or has another shape.

    Tensors of whole numbers or truth values must be equal, unless rounding changes them by itself.
    """
    listed = []
    for name, tensor in reference.items():
        other = found.get(name)
        if not tensor.numel() and other is not None and other.shape == tensor.shape:
            continue  # nothing to compare, as where no object was found in an image
        error = math.inf if other is None else _distance(other, tensor)
        response = max((_distance(each[name], tensor) if name in each else math.inf for each in moved), default=0.0)
        if not tensor.is_floating_point():
            # A class or an index that rounding changes may be any other one.
            bound, extent = (math.inf if response else 0.0), 0.0
        else:
            bound, extent = factor * response + _own_rounding(tensor, factor), _extent(tensor)
        listed.append(Gap(name=name, error=error, bound=bound, extent=extent))
    return listed


def judge_gaps(found: Sequence[Gap], *, origin: str, otherwise: str, fix: str | None = None) -> Judgement:
    """Judge the gap that is largest in units of its bound; what rounding alone could explain wholly is no evidence.

    A failure names every tensor whose gap is above its bound, the largest first.
    """
    if not found:
        return error("there is nothing to compare: the output holds no tensor")
    judgeable = [gap for gap in found if math.isfinite(gap.bound) and (gap.bound < gap.extent or gap.error > gap.bound)]
    exact = [gap for gap in found if gap.bound == 0]
    judgeable += [gap for gap in exact if gap not in judgeable]
    if not judgeable:
        gap = found[0]
        return error(
            f"rounding alone moves {gap.name} by up to {gap.bound:.3g}, and it extends over {gap.extent:.3g}: nothing "
            "can be told apart there",
            fix="let the specs build a model, or give inputs, whose outputs rounding does not decide",
        )
    worst = max(judgeable, key=lambda gap: gap.ratio)
    above = sorted((gap for gap in judgeable if gap.ratio > 1), key=lambda gap: -gap.ratio)
    blind = len(found) - len(judgeable)
    left_out = f"; {blind} tensors that rounding decides by itself are left out" if blind else ""
    return judged(
        Measured(
            value=worst.error,
            bound=worst.bound,
            comparison=Comparison.AT_MOST,
            origin=f"{origin}; largest in units of its bound: {worst.name}, of {len(judgeable)} tensors{left_out}",
            unit="max abs difference",
        ),
        otherwise=f"{otherwise}: {listed(dict.fromkeys(gap.name for gap in above))}",
        fix=fix,
    )


def moved_of(reply: Mapping[str, Plain], key: str = "moved") -> list[dict[str, Tensor]]:
    """Return the outputs of the moved runs, which a reply holds under `<key>.<i>`.

    Raises:
        ProbeFailure: the reply is not of that form.
    """
    found = [tensors_of(reply, f"{key}.{index}") for index in range(DRAWS)]
    return found


def loaded(data: Plain) -> dict[str, Tensor]:
    """Return the tensors in bytes.

    Raises:
        ProbeFailure: they are none.
    """
    if not isinstance(data, bytes):
        raise ProbeFailure("the target's process sent a reply without tensors")
    try:
        return load_safetensors(data)
    except SafetensorError as problem:
        raise ProbeFailure(f"the target's process sent malformed tensors: {problem}") from problem


def _distance(found: Tensor, expected: Tensor) -> float:
    if found.shape == expected.shape and found.numel() == 0:
        return 0.0
    return distance(found, expected)


def _own_rounding(tensor: Tensor, factor: float) -> float:
    """Return what the last operations may err by: a single number shows it by chance only, so its size says it."""
    if tensor.numel() == 1:
        return factor * torch.finfo(tensor.dtype).eps / 2 * float(tensor.abs().max())
    return rounding_of(tensor) if tensor.numel() else 0.0


def _extent(tensor: Tensor) -> float:
    finite = tensor[torch.isfinite(tensor)].double()
    if not finite.numel():
        return 0.0
    spread = float(finite.max() - finite.min())
    return spread if spread > 0 else float(finite.abs().max())
