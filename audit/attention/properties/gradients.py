"""Gradients are finite, reach every parameter, and equal those of the oracle."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from audit.attention.bounds import Deviation, allowance, distance
from audit.attention.cases import padding_mask, plain_case, with_mask
from audit.attention.properties.judging import DOCUMENTED_CALLS, ORACLE_BOUND, judge_deviations, no_oracle
from audit.attention.subject import DTYPES, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, failed
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="attention.gradients",
    title="Gradients are finite, reach every parameter and equal the oracle's",
    proves="Every input and trainable parameter receives a finite gradient that equals the oracle's, with and without "
    "a mask.",
    defect="a parameter that takes no part in the output",
    severity=Severity.CRITICAL,
)

_DTYPE = "float32"
_PREFIX = "parameter."


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Differentiate the target and the oracle with the same cotangent."""
    if not subject.has_oracle:
        return no_oracle()
    cases = list(_cases(subject, run.seed))
    try:
        answers = subject.backward(run, _DTYPE, cases)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=DOCUMENTED_CALLS)
    deviations: list[tuple[str, Deviation]] = []
    for index, case in enumerate(cases):
        expected, bounds = _expected(subject, answers.state, case)
        found = answers.gradients[index]
        trouble = _unreached(index, found, answers.missing, expected) or _nonfinite(found)
        if trouble:
            return failed(f"{trouble} (case '{case.name}')", measured=_count(trouble))
        for name, truth in sorted(expected.items()):
            deviation = Deviation(
                case=f"{name.removeprefix(_PREFIX)}, {case.name}",
                error=distance(found[name], truth),
                bound=bounds[name],
            )
            deviations.append((_DTYPE, deviation))
    return judge_deviations(
        deviations,
        origin=ORACLE_BOUND,
        otherwise="a gradient differs from the float64 oracle's: {case}",
        fix="look for a detached tensor, a wrong backward, or an output that differs from the contract",
    )


def _cases(subject: AttentionSubject, seed: int) -> Iterator[Case]:
    generator = subject.generator(seed)
    whole = plain_case(subject, generator)
    cases = [whole]
    if subject.contract.key_mask:
        cases.append(with_mask(subject, whole, padding_mask(side="right"), "right padding"))
        if subject.contract.empty_row:
            mask = padding_mask(side="right")
            mask[0] = False
            cases.append(with_mask(subject, whole, mask, "a sample with nothing to attend to"))
    for case in cases:
        shape = case.tensors["query" if subject.is_function else "hidden_states"].shape
        cotangent = torch.randn(shape, generator=generator, dtype=torch.float64)
        yield case.replaced(case.name, cotangent=cotangent)


def _expected(
    subject: AttentionSubject, state: Mapping[str, Tensor], case: Case
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Return the oracle's gradients and the bound on each, by the names that the probe uses."""
    truth = _differentiated(subject, state, case, torch.float64, scale_first=False)
    plain = [_differentiated(subject, state, case, DTYPES[_DTYPE], scale_first=first) for first in (False, True)]
    return truth, {name: allowance(truth[name], plain[0][name], plain[1][name]) for name in truth}


def _differentiated(
    subject: AttentionSubject, state: Mapping[str, Tensor], case: Case, dtype: torch.dtype, *, scale_first: bool
) -> dict[str, Tensor]:
    # Rounded first to the dtype in which the target saw them, then carried to the dtype of this computation.
    leaves = {
        name: tensor.to(DTYPES[_DTYPE]).to(dtype).requires_grad_()
        for name, tensor in case.tensors.items()
        if tensor.is_floating_point() and name != "cotangent"
    }
    parameters = {
        name: tensor.to(dtype).requires_grad_() for name, tensor in state.items() if tensor.is_floating_point()
    }
    output = subject.reference(parameters, case.replaced(case.name, **leaves), dtype=dtype, scale_first=scale_first)
    wanted = leaves | {_PREFIX + name: tensor for name, tensor in parameters.items()}
    cotangent = case.tensors["cotangent"].to(DTYPES[_DTYPE]).to(dtype)
    gradients = torch.autograd.grad(output, list(wanted.values()), cotangent, allow_unused=True)
    return {name: g for name, g in zip(wanted, gradients, strict=True) if g is not None}


def _unreached(
    index: int, found: Mapping[str, Tensor], missing: frozenset[str], expected: Mapping[str, Tensor]
) -> str | None:
    absent = {name.partition(".")[2] for name in missing if name.partition(".")[0] == str(index)}
    absent |= set(expected) - set(found)
    # A zero where the oracle has none: a parameter outside the oracle, or one that the target cut off.
    absent |= {name for name, gradient in found.items() if not gradient.any() and name not in expected}
    return f"no gradient reaches {_named(absent)}" if absent else None


def _nonfinite(found: Mapping[str, Tensor]) -> str | None:
    wrong = {name for name, gradient in found.items() if not torch.isfinite(gradient).all()}
    return f"the gradient of {_named(wrong)} is not finite" if wrong else None


def _named(names: set[str]) -> str:
    return ", ".join(sorted(name.removeprefix(_PREFIX) for name in names))


def _count(trouble: str) -> Measured:
    return Measured(
        value=trouble.count(",") + 1,
        bound=0,
        comparison=Comparison.EQUAL,
        origin="every trainable parameter takes part in the output, and a gradient that is not finite ends training",
        unit="tensors without a finite gradient",
    )
