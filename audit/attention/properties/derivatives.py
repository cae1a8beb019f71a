"""Gradients are the derivatives of the function, as differences of its values show them."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from audit.attention.answers import Answers
from audit.attention.cases import plain_case, with_cotangent
from audit.attention.properties.judging import call_raised, not_finite
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, judged, not_applicable, skipped
from audit.plan import Run
from audit.raised import describe_raised
from audit.results import Check, Severity

CHECK = Check(
    id="attention.derivatives",
    title="Gradients are the derivatives of the function",
    proves="In float64, the gradients of inputs and parameters along random directions are what differences of the "
    "output give. Where there is an oracle, attention.gradients compares all gradients with its own instead.",
    defect="a backward pass that leaves out a factor",
    severity=Severity.CRITICAL,
)
_DIRECTIONS = 3  # of each input
_MOST_GROUPS = 6  # of parameters, each of which is moved along one direction; where there are more, some move together
_MOST_NUMBERS = 2**20  # of parameters that are moved, 8 MiB
_PARAMETER = "parameter."
# Of the differences, beside inputs of unit variance. Values that were rounded to float32 on the way err by 1e-7 of the
# output, which the smallest step turns into 1e-4 of a derivative.
_STEPS = (2e-2, 1e-2, 5e-3)
_RELATIVE = 2e-2  # of the gradient's length, which is what a derivative along a normal direction is about
_SAFETY = 10
_ROUGH = 5e-2  # of the gradient's length; where extrapolations differ by more, the function is not smooth there
_ROUGH_OF_PARAMETERS = 1e-3  # these move every token at once, and with them one over a kink of a ReLU
_ORIGIN = (
    f"{_RELATIVE:g} of the largest derivative, plus {_SAFETY} x the difference of two extrapolations from central "
    f"differences at steps of {', '.join(f'{step:g}' for step in _STEPS)} where the first term does not hold alone"
)
_FIX = "look at the backward pass that the code defines, or at a tensor that is detached on the way"


@dataclass(frozen=True, kw_only=True)
class _Derivative:
    """Along one direction of one input: by the gradient, by differences, and how far these may be off."""

    name: str
    by_gradient: float
    by_differences: float
    uncertainty: float
    size: float
    rough: float = _ROUGH

    @property
    def is_smooth(self) -> bool:
        return math.isfinite(self.uncertainty) and self.uncertainty <= self.rough * self.size

    @property
    def error(self) -> float:
        return abs(self.by_gradient - self.by_differences)

    @property
    def bound(self) -> float:
        return _RELATIVE * self.size + _SAFETY * self.uncertainty


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare gradients of inputs and parameters with extrapolated central differences."""
    if subject.has_oracle:
        return not_applicable("attention.gradients compares every gradient with the oracle's")
    generator = subject.generator(run.seed)
    case = with_cotangent(plain_case(subject, generator), generator)
    names = [name for name, x in case.tensors.items() if x.is_floating_point() and name != "cotangent"]
    directions = [
        (name, torch.randn(case.tensors[name].shape, generator=generator, dtype=torch.float64))
        for name in names
        for _ in range(_DIRECTIONS)
    ]
    moved = [each for name, direction in directions for each in _moved(case, name, direction)]
    calls = [("backward", case), *(("forward", each) for each in moved)]
    try:
        answers = subject.ask(run, "float64", calls, opened=True)
    except TargetRaised as raised:
        if raised.is_of_the_specs:
            return call_raised(subject, run, raised)
        what = f"it cannot be run in float64: {describe_raised(raised, run.target)}"
        return skipped(what) if subject.is_declared else not_applicable(f"undeclared: whether {what}")
    if not all(bool(torch.isfinite(output).all()) for output in answers.outputs):
        return not_finite(answers.outputs[0])
    values = [_weighted(output, case.tensors["cotangent"]) for output in answers.outputs[1:]]
    gradients, per = answers.gradients[0], 2 * len(_STEPS)
    found = [
        _derivative(name, gradients.get(name), direction, values[per * at : per * (at + 1)])
        for at, (name, direction) in enumerate(directions)
        if name in gradients
    ]
    try:
        found += _of_parameters(subject, run, case, answers, generator)
    except TargetRaised as raised:
        return error(f"with its parameters moved a little it raises: {describe_raised(raised, run.target)}")
    if not found:
        return not_applicable("no input has a gradient; attention.gradients judges what is missing")
    smooth = [each for each in found if each.is_smooth and each.size > 0]
    if not smooth:
        return not_applicable("the function is not smooth where it was looked at, so differences tell nothing")
    top = max(smooth, key=lambda each: each.error / each.bound)
    if top.error > top.bound and not subject.is_declared and "cut" in subject.claims:
        return not_applicable(
            f"undeclared: whether gradients are cut on purpose, with '{subject.claims['cut']}' in the code; observed: "
            f"that of {top.name} is not the derivative"
        )
    measured = Measured(value=top.error, bound=top.bound, origin=_ORIGIN, unit="difference of a directional derivative")
    return judged(
        measured,
        otherwise=f"the gradient of {top.name} is not the derivative: {top.by_gradient:.4g} along a direction in which "
        f"differences of the output give {top.by_differences:.4g}",
        fix=_FIX,
    )


def _of_parameters(
    subject: AttentionSubject, run: Run, case: Case, answers: Answers, generator: torch.Generator
) -> list[_Derivative]:
    """Return the derivatives along one direction of each parameter, or of each group of them where they are many."""
    gradients = {
        name.removeprefix(_PARAMETER): gradient
        for name, gradient in answers.gradients[0].items()
        if name.startswith(_PARAMETER)
    }
    directions: dict[str, Tensor] = {}
    sizes: dict[str, float] = {}
    for name in sorted(gradients, key=lambda name: (gradients[name].numel(), name)):
        value = answers.state.get(name)
        if value is None or value.shape != gradients[name].shape or not bool(value.any()):
            continue
        if sum(each.numel() for each in directions.values()) + value.numel() > _MOST_NUMBERS:
            break
        # As far as inputs of unit variance are moved, in units of the parameter's own size.
        sizes[name] = float(value.double().square().mean().sqrt())
        directions[name] = sizes[name] * torch.randn(value.shape, generator=generator, dtype=torch.float64)
    groups = [list(directions)[first::_MOST_GROUPS] for first in range(min(_MOST_GROUPS, len(directions)))]
    if not groups:
        return []
    keys = {name: f"direction.{name}" for name in directions}
    carrying = case.replaced(case.name, **{keys[name]: direction for name, direction in directions.items()})

    def values_at(steps: Sequence[float], some: Sequence[Sequence[str]]) -> list[list[float]]:
        """Return for each of these groups what the output gives when its parameters move by each step, and back."""
        calls = [carrying]
        for group in some:
            for step in steps:
                for sign in (1, -1):
                    moves: list[Plain] = [[name, f"0.{keys[name]}", sign * step] for name in group]
                    calls.append(case.under("parameters moved", moved=moves))
        outputs = subject.ask(run, "float64", [("forward", each) for each in calls], opened=True).outputs[1:]
        found = [_weighted(output, case.tensors["cotangent"]) for output in outputs]
        per = 2 * len(steps)
        return [found[per * at : per * (at + 1)] for at in range(len(some))]

    def derivative(group: Sequence[str], values: Sequence[float]) -> _Derivative:
        found = _derivative(
            ", ".join(group),
            torch.cat([gradients[name].double().flatten() for name in group]),
            torch.cat([directions[name].flatten() for name in group]),
            values,
            torch.cat([torch.full((gradients[name].numel(),), sizes[name]).double() for name in group]),
        )
        return replace(found, rough=_ROUGH_OF_PARAMETERS)

    # Two steps settle most: the third makes the second term of a bound that is met by the first alone.
    found: list[_Derivative] = []
    left: list[tuple[Sequence[str], list[float]]] = []
    for group, values in zip(groups, values_at(_STEPS[:2], groups), strict=True):
        if not all(map(math.isfinite, values)):
            continue
        each = derivative(group, values)
        if each.is_smooth and each.error <= _RELATIVE * each.size:
            found.append(replace(each, uncertainty=0.0))
        else:
            left.append((group, values))
    if left:
        finer = values_at(_STEPS[2:], [group for group, _ in left])
        whole = [(group, values + more) for (group, values), more in zip(left, finer, strict=True)]
        found += [derivative(group, values) for group, values in whole if all(map(math.isfinite, values))]
    return found


def _moved(case: Case, name: str, direction: Tensor) -> Iterator[Case]:
    for step in _STEPS:
        for sign in (1, -1):
            yield case.replaced(f"{name} moved", **{name: case.tensors[name].double() + sign * step * direction})


def _weighted(output: Tensor, cotangent: Tensor) -> float:
    """Return the sum whose gradient the probe takes; the output may be wider than the input, as there."""
    repeated = torch.cat([cotangent] * (1 + output.shape[-1] // cotangent.shape[-1]), dim=-1)[..., : output.shape[-1]]
    return float((output.double() * repeated.double()).sum())


def _derivative(
    name: str, gradient: Tensor | None, direction: Tensor, values: Sequence[float], sizes: Tensor | float = 1.0
) -> _Derivative:
    """Return the derivative by the gradient and by differences at the first two steps, or at all three.

    `sizes` are those that directions are drawn with.
    """
    assert gradient is not None
    steps = _STEPS[: len(values) // 2]
    central = [(values[2 * i] - values[2 * i + 1]) / (2 * step) for i, step in enumerate(steps)]
    # Each step is half the one before: 4/3 of the finer minus 1/3 of the coarser leaves an error of the fourth order.
    extrapolated = [(4 * b - a) / 3 for a, b in itertools.pairwise(central)]
    # Of one extrapolation, what it adds to the finer difference is more than what it is off by.
    coarse, fine = extrapolated if len(extrapolated) > 1 else (central[-1], extrapolated[0])
    by_gradient = float((gradient.double() * direction).sum())
    # What a derivative along such a direction is about.
    size = max(float((gradient.double() * sizes).norm()), abs(fine))
    return _Derivative(
        name=name, by_gradient=by_gradient, by_differences=fine, uncertainty=abs(fine - coarse), size=size
    )
