"""A query that may attend to nothing has the declared output, and does no harm to others."""

import torch
from torch import Tensor

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import key_length, plain_case, with_cotangent, with_mask
from audit.attention.plain import repeated
from audit.attention.properties.judging import against_oracle, call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import BATCH_SIZE, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, failed, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.empty_rows",
    title="Queries with nothing to attend to have the declared output",
    proves="Where every key of a sample is masked, the output is the declared one, all gradients are finite, and the "
    "other samples have the output that they have without it.",
    defect="a softmax over -inf alone, which is NaN",
    severity=Severity.MAJOR,
)

_LISTED = 3
_KNOWN = ", as where the softmax is taken over -inf alone"
_FIX = "keep the scores of a row without keys finite, and set its output to zero after the softmax"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Mask every key of the first sample."""
    if not subject.contract.key_mask:
        return not_applicable(subject.why_no_mask)
    generator = subject.generator(run.seed)
    whole = plain_case(subject, generator, is_causal=False)
    mask = torch.ones(BATCH_SIZE, key_length(whole), dtype=torch.bool)
    kept = with_mask(subject, whole, mask, "every key kept")
    mask = mask.clone()
    mask[0] = False
    empty = with_cotangent(with_mask(subject, whole, mask, "a sample with nothing to attend to"), generator)
    dtype = subject.finest_dtype
    try:
        runs = compared(subject, run, dtype, [kept], differentiated=[empty])
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    full, found = runs.outputs
    if trouble := no_reference(full, runs.bound):
        return trouble
    beside = Deviation(case="the sample beside it", error=distance(found[1], full[1]), bound=runs.bound)
    if not beside.holds:
        return judge_deviations(
            [(dtype, beside)],
            origin=bound_origin(subject),
            otherwise="a sample with nothing to attend to changes the output of another: {case}",
            fix=_FIX,
        )
    wrong = [name for name, gradient in runs.answers.gradients[1].items() if not torch.isfinite(gradient).all()]
    places = (["its output"] if not torch.isfinite(found).all() else []) + [
        f"the gradient of {name.removeprefix('parameter.')}" for name in sorted(wrong)
    ]
    if subject.contract.empty_row is None:
        if places:
            return not_applicable(
                "undeclared: the output of a query that may attend to nothing; observed: not finite in "
                + ", ".join(places[:_LISTED])
                + (f" and {len(places) - _LISTED} more" if places[_LISTED:] else "")
            )
        return judge_deviations([(dtype, beside)], origin=bound_origin(subject), otherwise="", fix=_FIX)
    if subject.contract.empty_row == "nan":
        if bool(torch.isnan(found[0]).all()):
            return judge_deviations([(dtype, beside)], origin=bound_origin(subject), otherwise="", fix=_FIX)
        return failed("the contract declares NaN for a query that may attend to nothing, and its output is another")
    if places:
        return failed(f"with a sample that has nothing to attend to, {places[0]} is not finite{_KNOWN}", fix=_FIX)
    if subject.has_oracle:
        own = against_oracle(subject, runs.answers.state, empty, found, dtype)
    elif subject.is_function:
        own = Deviation(case=empty.name, error=distance(found[0], _empty_row(subject, empty)), bound=runs.bound)
    else:
        declared = subject.contract.empty_row
        return error(f"the contract declares {declared} before an output projection that it does not name")
    return judge_deviations(
        [(dtype, beside), (dtype, own)],
        origin=bound_origin(subject),
        otherwise="a query with nothing to attend to has another output than the declared one: {case}",
        fix=_FIX,
    )


def _empty_row(subject: AttentionSubject, empty: Case) -> Tensor:
    """Return what a function gives for the first sample, (H, Lq, D), none of whose keys may be attended to."""
    query, value = empty.tensors["query"][0], empty.tensors["value"][0]
    if subject.contract.empty_row == "zeros":
        return torch.zeros_like(query)
    mean = repeated(value[None], query.shape[0], subject.contract.head_grouping)[0].mean(dim=-2, keepdim=True)
    return mean.expand_as(query)
