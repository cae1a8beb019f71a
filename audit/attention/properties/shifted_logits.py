"""A softmax does not change when one number is added to all logits of a query, however large that number is.

The same vector added to every key adds the product with it to all logits of a query. That tells an accumulator of a
running maximum that begins at zero from one that begins below every logit, without an oracle.
"""

import math

import torch

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import plain_case
from audit.attention.properties.judging import judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.raised import describe_raised

# The exponential of half its opposite is the smallest number above zero in float32, that of half of it is infinite.
# Half alone would not tell a running maximum that begins at -1, in the place of minus infinity, and stays there where
# all logits are below. Float32 whatever the dtype of the inputs, for kernels keep their softmax in it.
FAR = -2.0 * math.log(torch.finfo(torch.float32).smallest_normal * torch.finfo(torch.float32).eps)
_UNDECLARED = "undeclared: what its weights are"


def shifted(subject: AttentionSubject, run: Run) -> Judgement:
    """Add a little to the logits, to see that it is a softmax of them, and then as much as leaves float32."""
    if not subject.contract.rows_sum_to_one:
        return not_applicable(f"{_UNDECLARED}: whether they sum to one")
    generator = subject.generator(run.seed)
    plain = _with_one_sign(plain_case(subject, generator))
    direction = torch.ones(plain.tensors["key"].shape[-1], dtype=torch.float64)
    products = (plain.tensors["query"] * direction).sum(dim=-1).abs() * plain.tensors["query"].shape[-1] ** -0.5
    cases = [
        _moved(plain, direction * size / float(products.min()), f"{size:+.0f} and more added to the logits")
        # where logits are scaled by 1/sqrt(head_dim); by any larger scale they go farther
        for size in (-1.0, 1.0, -FAR, FAR)
    ]
    other = plain_case(subject, generator)
    dtype = subject.finest_dtype
    try:
        runs = compared(subject, run, dtype, [plain, *cases, other], bounded=(0, 1, 2, 3, 4))
    except TargetRaised as raised:
        return not_applicable(f"{_UNDECLARED}: {describe_raised(raised, run.target)}")
    output, *found = runs.outputs[:-1]
    if trouble := no_reference(output, runs.bounds[0]):
        return trouble
    deviations = [
        # Where what comes out is no number, rounding gives no bound, and the plain output's tells it from a number.
        Deviation(
            case=case.name,
            error=distance(each, output),
            bound=runs.bounds[0] + (bound if math.isfinite(bound) else 0.0),
        )
        for case, each, bound in zip(cases, found, runs.bounds[1:], strict=True)
    ]
    if not all(each.holds for each in deviations[:2]):
        return not_applicable(f"{_UNDECLARED}; observed: they change with a number that is added to all logits")
    return judge_deviations(
        [(dtype, each) for each in deviations],
        origin=bound_origin(subject),
        otherwise="a number that is added to all logits of a query changes its output, as where the maximum is not "
        "subtracted or a running maximum begins at zero: {case}",
        fix="subtract each row's maximum before the exponential, and begin a running maximum at -inf",
    )


def _with_one_sign(case: Case) -> Case:
    """Return the case with queries whose sums over the features are positive and not small."""
    query = case.tensors["query"]
    sums = query.sum(dim=-1, keepdim=True)
    lifted = query + (query.shape[-1] ** 0.5 - sums) / query.shape[-1]
    return case.replaced(case.name, query=lifted)


def _moved(case: Case, vector: torch.Tensor, name: str) -> Case:
    return case.replaced(name, key=case.tensors["key"] + vector)
