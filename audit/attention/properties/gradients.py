"""Gradients are finite, reach every parameter, and equal those of the oracle where there is one."""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from audit.attention.answers import Answers
from audit.attention.bounds import Deviation, allowance, distance
from audit.attention.cases import key_length, padding_mask, plain_case, with_cotangent, with_mask
from audit.attention.contract import Dtype
from audit.attention.found import has_other_outputs
from audit.attention.plain import ORDERS, Order
from audit.attention.properties.judging import ORACLE_BOUND, call_raised, judge_deviations, not_finite
from audit.attention.subject import DTYPES, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, failed, judged, not_applicable
from audit.plan import Run
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="attention.gradients",
    title="Gradients are finite, reach every parameter and equal the oracle's",
    proves="Every input and trainable parameter receives a finite gradient, with and without a mask; where the "
    "contract says enough for an oracle, it equals the oracle's.",
    defect="a parameter that takes no part in the output",
    severity=Severity.CRITICAL,
)

_PREFIX = "parameter."
_ORIGIN = "every trainable parameter takes part in the output, and a gradient that is not finite ends training"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Differentiate the target and the oracle with the same cotangent."""
    dtype = subject.finest_dtype
    cases = list(_cases(subject, run.seed))
    try:
        answers = subject.backward(run, dtype, cases, opened=not subject.has_oracle)
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    if not subject.has_oracle:
        return _alone(subject, answers)
    deviations = gradient_deviations(subject, answers, cases, dtype)
    if isinstance(deviations, Judgement):
        return deviations
    return judge_deviations(
        deviations,
        origin=ORACLE_BOUND,
        otherwise="a gradient differs from the float64 oracle's: {case}",
        fix="look for a detached tensor, a wrong backward, or an output that differs from the contract",
    )


def gradient_deviations(
    subject: AttentionSubject, answers: Answers, cases: Sequence[Case], dtype: Dtype
) -> list[tuple[str, Deviation]] | Judgement:
    """Return how far each gradient is from the oracle's, with its dtype; a failure where one is absent or no number."""
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
    return deviations


def _alone(subject: AttentionSubject, answers: Answers) -> Judgement:
    """Judge gradients by themselves: None, exactly zero and not finite are told apart."""
    if not all(bool(torch.isfinite(output).all()) for output in answers.outputs[:1]):
        return not_finite(answers.outputs[0])
    names = {name for gradients in answers.gradients for name in gradients} | {name for _, name in answers.missing}
    if not names:
        return not_applicable("nothing in it can be trained or differentiated")
    dead = {name for name in names if all((call, name) in answers.missing for call in range(len(answers.outputs)))}
    zero = {
        name
        for name in names - dead
        if all(not gradients[name].any() for gradients in answers.gradients if name in gradients)
    }
    wrong = {name for name, gradient in answers.gradients[0].items() if not torch.isfinite(gradient).all()}
    detached = dead & {_PREFIX + name for name in subject.built.detached}
    dead -= detached
    if not subject.is_declared:
        # Another call may use what this one does not, unless nothing reads it.
        unread = {_PREFIX + name for name in subject.built.unread}
        dead = {name for name in dead if name in unread or not name.startswith(_PREFIX)}
        if has_other_outputs(subject.source):  # what leads to another one alone has no gradient here
            zero = {name for name in zero if not name.startswith(_PREFIX)}
    troubles = [
        text
        for text, found in (
            (f"no gradient reaches {_named(dead)}: no output is computed from it", dead),
            (f"no gradient reaches {_named(detached)}, though the output is computed from it", detached),
            (f"the gradient of {_named(zero)} is exactly zero for every input: it is cut off on the way", zero),
            (f"the gradient of {_named(wrong)} is not finite", wrong),
        )
        if found
    ]
    return judged(
        Measured(
            value=len(dead | detached | zero | wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=_ORIGIN,
            unit="tensors without a finite gradient",
        ),
        otherwise="; ".join(troubles),
        fix="use every parameter, or do not register it; look for `detach`, `no_grad` and roots of zero",
    )


def _cases(subject: AttentionSubject, seed: int) -> Iterator[Case]:
    generator = subject.generator(seed)
    whole = plain_case(subject, generator)
    cases = [whole]
    if not subject.has_oracle:  # a gradient that is zero by chance is so in one case
        cases.append(plain_case(subject, generator).replaced("another input"))
    elif subject.contract.key_mask:
        mask = padding_mask(side="right", length=key_length(whole))
        cases.append(with_mask(subject, whole, mask, "right padding"))
        if subject.contract.has_finite_empty_row:
            mask = mask.clone()
            mask[0] = False
            cases.append(with_mask(subject, whole, mask, "a sample with nothing to attend to"))
    for case in cases:
        yield with_cotangent(case, generator)


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
        name: tensor.to(dtype).detach().requires_grad_()
        for name, tensor in case.tensors.items()
        if tensor.is_floating_point() and name != "cotangent"
    }
    parameters = {
        name: answers.state[name].to(dtype).detach().requires_grad_()  # a leaf of its own: others read the state too
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
    if absent:
        return f"no gradient reaches {_named(absent)}: no output is computed from it"
    # A zero where the oracle has none: a parameter outside the oracle, or one that the target cut off.
    zero = {name for name, gradient in found.items() if not gradient.any() and name not in expected}
    return f"no gradient but zero reaches {_named(zero)}: it is cut off on the way" if zero else None


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
        origin=_ORIGIN,
        unit="tensors without a finite gradient",
    )
