"""A query that may attend to nothing has the declared output, and does no harm to others."""

import torch

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import key_length, plain_case, with_cotangent, with_mask
from audit.attention.properties.judging import against_oracle, call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import BATCH_SIZE, AttentionSubject
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
        return not_applicable("the contract declares that there is no key mask")
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
    if places:
        return failed(f"with a sample that has nothing to attend to, {places[0]} is not finite{_KNOWN}", fix=_FIX)
    if subject.has_oracle:
        own = against_oracle(subject, runs.answers.state, empty, found, dtype)
    elif subject.is_function:
        own = Deviation(case=empty.name, error=distance(found[0], torch.zeros_like(found[0])), bound=runs.bound)
    else:
        return error("the contract declares zeros before an output projection that it does not name")
    return judge_deviations(
        [(dtype, beside), (dtype, own)],
        origin=bound_origin(subject),
        otherwise="a query with nothing to attend to has another output than the declared zeros: {case}",
        fix=_FIX,
    )
