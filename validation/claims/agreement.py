"""Whether two callables compute the same: what is faster and wrong is not faster."""

from collections.abc import Mapping

import torch
from torch import Tensor

from audit.attention.bounds import allowance, distance
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed
from audit.results import Location
from validation.smoke.model import tensors_of

_ORIGIN = (
    "3 times the baseline's own distance from the same computation in float64, and twice the rounding of the result, "
    "as in the flash-attention tests"
)


def problem_with(reply: Mapping[str, Plain], place: Location, *, when: str) -> Judgement | None:
    """Return why the candidate's outputs are not the baseline's, or cannot be compared; None where they agree.

    Args:
        reply: tensors `baseline`, `candidate`, `exact`, and perhaps `other`, the baseline's of other inputs.
        place: where the claim is published.
        when: the outputs were computed.
    """
    baseline, candidate, exact = (tensors_of(reply, key) for key in ("baseline", "candidate", "exact"))
    if not baseline or not any(each.numel() for each in baseline.values()):
        return error("the baseline returned no tensor with elements: there is nothing to compare", location=place)
    if exact.keys() != baseline.keys():
        return error("the computation in float64 returns other tensors than the baseline", location=place)
    if not all(bool(torch.isfinite(each).all()) for each in (*exact.values(), *baseline.values())):
        return error("the baseline's output is not finite: nothing can be compared with it", location=place)
    if "other" in reply and _equal(baseline, tensors_of(reply, "other")):
        return error(
            "the baseline gives the same output for other inputs: agreeing with it says nothing", location=place
        )
    if candidate.keys() != baseline.keys():
        return failed(
            f"refuted: {when}, the candidate returns other tensors than the baseline: {_names(candidate)}, not "
            f"{_names(baseline)}",
            location=place,
        )
    for name, truth in exact.items():
        if found := _deviation(name, baseline[name], candidate[name], truth, place, when):
            return found
    return None


def _deviation(
    name: str, baseline: Tensor, candidate: Tensor, truth: Tensor, place: Location, when: str
) -> Judgement | None:
    if candidate.shape != baseline.shape:
        shapes = f"{tuple(candidate.shape)}, not {tuple(baseline.shape)}"
        return failed(f"refuted: {when}, {name} of the candidate has the shape {shapes}", location=place)
    if baseline.numel() == 0:
        return None
    if truth.shape != baseline.shape:
        return error(f"{name} has another shape in float64", location=place)
    bound = allowance(truth, baseline) if baseline.is_floating_point() else 0.0
    if baseline.is_floating_point() and bound == 0.0 and not truth.any():
        return error(f"{name} is zero everywhere: agreeing with it says nothing", location=place)
    measured = Measured(value=distance(candidate, truth), bound=bound, origin=_ORIGIN, unit="largest difference")
    if measured.holds:
        return None
    return failed(
        f"refuted: {when}, {name} of the candidate is not that of the baseline: the two do not compute the same",
        measured=measured,
        location=place,
    )


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _names(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(sorted(tensors)[:8]) or "none"
