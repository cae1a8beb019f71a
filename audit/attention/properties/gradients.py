"""Gradients are finite, reach every parameter, and equal those of the oracle."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from audit.attention.answers import Answers
from audit.attention.bounds import Deviation, allowance, distance
from audit.attention.cases import padding_mask, plain_case, with_mask
from audit.attention.contract import Dtype
from audit.attention.plain import ORDERS, Order
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

_PREFIX = "parameter."


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Differentiate the target and the oracle with the same cotangent."""
    if not subject.has_oracle:
        return no_oracle(subject)
    dtype = subject.finest_dtype
    cases = list(_cases(subject, run.seed))
    try:
        answers = subject.backward(run, dtype, cases)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=DOCUMENTED_CALLS)
    deviations: list[tuple[str, Deviation]] = []
    for index, case in enumerate(cases):
        expected, bounds = _expected(subject, answers, case, dtype)
        found = answers.gradients[index]
        # Where the plain computation is not finite either there is no reference, and no failure.
        without_reference = {name for name, bound in bounds.items() if not math.isfinite(bound)}
        trouble = _unreached(index, found, answers.missing, expected) or _nonfinite(found, without_reference)
        if trouble:
            return failed(f"{trouble} (case '{case.name}')", measured=_count(trouble))
        for name, truth in sorted(expected.items()):
            deviation = Deviation(
                case=f"{name.removeprefix(_PREFIX)}, {case.name}",
                error=distance(found[name], truth),
                bound=bounds[name],
            )
            deviations.append((dtype, deviation))
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
    subject: AttentionSubject, answers: Answers, case: Case, dtype: Dtype
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Return the oracle's gradients and the bound on each, by the names that the probe uses."""
    sent = subject.as_sent(case, dtype)
    truth = _differentiated(subject, answers, sent, torch.float64)
    plain = [_differentiated(subject, answers, sent, DTYPES[dtype], order) for order in ORDERS]
    return truth, {name: allowance(truth[name], *(each[name] for each in plain)) for name in truth}


def _differentiated(
    subject: AttentionSubject, answers: Answers, case: Case, dtype: torch.dtype, order: Order | None = None
) -> dict[str, Tensor]:
    """Return the gradients of every input and trainable parameter that takes part; shared parameters are one leaf."""
    inputs = {
        name: tensor.to(dtype).requires_grad_()
        for name, tensor in case.tensors.items()
        if tensor.is_floating_point() and name != "cotangent"
    }
    parameters = {
        name: answers.state[name].to(dtype).requires_grad_()
        for name in sorted(set(answers.trainable.values()))
        if name in answers.state
    }
    state = {name: parameters.get(answers.trainable.get(name, ""), tensor) for name, tensor in answers.state.items()}
    output = subject.reference(state, case.replaced(case.name, **inputs), dtype=dtype, order=order)
    wanted = inputs | {_PREFIX + name: tensor for name, tensor in parameters.items()}
    gradients = torch.autograd.grad(
        output, list(wanted.values()), case.tensors["cotangent"].to(dtype), allow_unused=True
    )
    return {name: g for name, g in zip(wanted, gradients, strict=True) if g is not None}


def _unreached(
    index: int, found: Mapping[str, Tensor], missing: frozenset[tuple[int, str]], expected: Mapping[str, Tensor]
) -> str | None:
    absent = {name for call, name in missing if call == index}
    absent |= set(expected) - set(found)
    # A zero where the oracle has none: a parameter outside the oracle, or one that the target cut off.
    absent |= {name for name, gradient in found.items() if not gradient.any() and name not in expected}
    return f"no gradient reaches {_named(absent)}" if absent else None


def _nonfinite(found: Mapping[str, Tensor], without_reference: set[str]) -> str | None:
    wrong = {name for name, gradient in found.items() if not torch.isfinite(gradient).all()} - without_reference
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
