"""Weights that sum to one give back what all tokens have in common."""

import torch
from torch import Tensor

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import plain_case
from audit.attention.properties.judging import call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import SHORT, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.row_sums",
    title="Weights that sum to one give back a constant",
    proves="Where the weights of every query sum to one, a function returns the value that all keys share, and a "
    "module gives one token, however often it is repeated, one and the same output.",
    defect="linear attention that is not divided by its sum",
    severity=Severity.CRITICAL,
)
# Of the largest output, where nothing is declared: linear attention often adds a small number to its sum.
_SMALL = 1e-2
_FIX = "divide by the sum of the weights, over the same keys and heads as the values are added up"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Give all keys the same value, or a module the same token at every position."""
    contract = subject.contract
    if contract.rows_sum_to_one is None:
        return not_applicable("undeclared: whether the weights of a query sum to one")
    if not contract.rows_sum_to_one:
        return not_applicable("the contract declares that the weights of a query do not sum to one")
    generator = subject.generator(run.seed)
    flags = [False, True] if subject.is_function and contract.is_causal else [bool(contract.is_causal)]
    wholes = [plain_case(subject, generator, is_causal=flag) for flag in flags]
    constants = [_constant(whole) for whole in wholes]
    shorter = [] if subject.is_function else [_first(constants[0], SHORT)]
    halves = _halves(wholes[0]) if "linear" in subject.claims else []
    dtype = subject.finest_dtype
    try:
        runs = compared(subject, run, dtype, [*constants, *shorter, *halves, wholes[0]], bounded=range(len(constants)))
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    if trouble := no_reference(runs.outputs[-1], runs.bounds[0]):
        return trouble
    deviations = []
    for case, output, bound in zip(constants, runs.outputs, runs.bounds, strict=False):
        wanted = contract.value_scale * case.tensors["value"][:, :1, :1] if subject.is_function else output[..., :1, :]
        bound += 0.0 if subject.is_declared else _SMALL * float(wanted.abs().max())
        deviations.append(
            (dtype, Deviation(case=case.name, error=distance(output, wanted.expand_as(output)), bound=bound))
        )
    if shorter:
        fewer = runs.outputs[len(constants)]
        error = distance(fewer, runs.outputs[0][..., :SHORT, :])
        deviations.append((dtype, Deviation(case=shorter[0].name, error=error, bound=deviations[0][1].bound)))
    if halves:
        # What weights that sum to one leave of a repeated token is linear in it but for a constant.
        one, other, half = runs.outputs[-4:-1]
        error = distance(half, (one + other) / 2)
        deviations.append((dtype, Deviation(case=halves[-1].name, error=error, bound=deviations[0][1].bound)))
    added = "" if subject.is_declared else f", plus {_SMALL:g} of the largest output for what is added to a sum"
    return judge_deviations(
        deviations,
        origin=bound_origin(subject) + added,
        otherwise="the weights of a query do not sum to one: {case}" + subject.claim("rows_sum_to_one"),
        fix=_FIX,
    )


def _constant(whole: Case) -> Case:
    """Return the case with one value for all keys and heads, of a module with one token at every position."""
    if "value" in whole.tensors:
        value = whole.tensors["value"]
        return whole.replaced(f"{whole.name}, one value for all keys", value=value[:, :1, :1].expand_as(value).clone())
    hidden = whole.tensors["hidden_states"]
    return whole.replaced("one token repeated", hidden_states=_repeated(hidden))


def _halves(whole: Case) -> list[Case]:
    """Return a case of one token at every position, one of another, and one of what lies halfway between the two."""
    hidden = whole.tensors["hidden_states"]
    one, other = _repeated(hidden), _repeated(hidden.flip(1))
    return [
        whole.replaced("one token repeated", hidden_states=one),
        whole.replaced("another token repeated", hidden_states=other),
        whole.replaced("what lies halfway between two tokens, repeated", hidden_states=(one + other) / 2),
    ]


def _repeated(hidden: Tensor) -> Tensor:
    return torch.cat([hidden[:, :1]] * hidden.shape[1], dim=1)


def _first(case: Case, length: int) -> Case:
    hidden = case.tensors["hidden_states"][:, :length]
    return case.replaced(f"one token repeated {length} times", hidden_states=hidden)
