"""A mask that allows everything changes nothing."""

import torch

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import key_length, plain_case, replaced_keys, with_mask
from audit.attention.properties.judging import call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.noop_mask",
    title="A mask that allows everything changes nothing",
    proves="With a mask under which every key may be attended to, the outputs are those without a mask, whether causal "
    "or not.",
    defect="a given mask that replaces the causal one",
    severity=Severity.CRITICAL,
)
HOLDS_CAUSAL = "under a mask that allows what the causal one does"  # in the reason of a failure
_OBSERVED = (
    "undeclared: whether a given mask replaces the causal one; observed: it does, so that later tokens change earlier "
    "outputs under a mask that allows everything"
)
# The shapes of a mask that was found out in which queries have an axis, so that it can hold the causal one.
_WITH_QUERIES = ("B1LL", "BHLL", "BLL", "BHLL flat", "as it is")


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare calls without a mask and with one that allows everything."""
    if not subject.contract.key_mask:
        return not_applicable(subject.why_no_mask)
    if subject.contract.is_causal and subject.contract.given_mask == "replaces":
        return _replacing(subject, run, "the contract declares that a given mask replaces the causal one")
    generator = subject.generator(run.seed)
    wholes = [plain_case(subject, generator, is_causal=False)]
    if subject.is_function and subject.contract.is_causal:
        wholes.append(plain_case(subject, generator, is_causal=True))
    masked = [with_mask(subject, whole, _allowing_all(whole), whole.name) for whole in wholes]
    # What tells a mask that replaces the causal one from others: earlier outputs while the last key is another.
    last = torch.zeros_like(_allowing_all(wholes[0]))
    last[:, -1] = True
    later = replaced_keys(wholes[0], last, generator)
    others = [later, with_mask(subject, later, ~torch.zeros_like(last), later.name)]
    dtype, count = subject.finest_dtype, len(wholes)
    try:
        runs = compared(subject, run, dtype, [*wholes, *masked, *others], bounded=range(count))
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    deviations: list[tuple[str, Deviation]] = []
    for index, (whole, bound) in enumerate(zip(wholes, runs.bounds, strict=True)):
        plain, same = runs.outputs[index], runs.outputs[count + index]
        if trouble := no_reference(plain, bound):
            return trouble
        deviations.append((dtype, Deviation(case=whole.name, error=distance(same, plain), bound=bound)))
    if not deviations[0][1].holds and not subject.is_declared and subject.contract.given_mask is None:
        plain, same, moved, moved_same = (runs.outputs[i][..., :-1, :] for i in (0, count, -2, -1))
        if distance(moved, plain) <= runs.bounds[0] < distance(moved_same, same):
            return _replacing(subject, run, _OBSERVED)
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise="a mask that allows every key changes the outputs, as where it replaces the causal one: {case}"
        + subject.claim("given_mask"),
        fix="combine the given mask with the causal one, and turn a bool mask into 0 and -inf before it is added",
    )


def _replacing(subject: AttentionSubject, run: Run, why: str) -> Judgement:
    """Judge what a mask replaces the causal one in: one that is causal and hides nothing else changes nothing there.

    So it is where a mask joins the causal one, which therefore does not have to be known. What has no room for queries
    cannot be causal, and is not judged.
    """
    generator = subject.generator(run.seed)
    whole = plain_case(subject, generator, is_causal=True)
    masked = _causal(subject, whole)
    if masked is None:
        return not_applicable(why)
    pairs = [(whole, masked)]
    if subject.is_function and not subject.is_always_causal:
        full = plain_case(subject, generator, is_causal=False)
        pairs.append((full, with_mask(subject, full, _allowing_all(full), full.name)))
    dtype = subject.finest_dtype
    cases = [*(plain for plain, _ in pairs), *(same for _, same in pairs)]
    try:
        runs = compared(subject, run, dtype, cases, bounded=range(len(pairs)))
    except TargetRaised as raised:
        return not_applicable(why) if not subject.is_declared else call_raised(subject, run, raised)
    deviations: list[tuple[str, Deviation]] = []
    for index, (_, same) in enumerate(pairs):
        plain, bound = runs.outputs[index], runs.bounds[index]
        if trouble := no_reference(plain, bound):
            return trouble
        apart = distance(runs.outputs[len(pairs) + index], plain)
        deviations.append((dtype, Deviation(case=same.name, error=apart, bound=bound)))
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise=f"{why}; and {HOLDS_CAUSAL}, the outputs change: {{case}}",
        fix="turn a bool mask into 0 and -inf before it is added, and mask nothing else",
    )


def _causal(subject: AttentionSubject, whole: Case) -> Case | None:
    """Return the case under a mask that is the causal one; None where it takes none with an axis of queries."""
    name = "a mask that is the causal one"
    chosen = subject.form.get("mask")
    if not subject.is_declared and not (isinstance(chosen, dict) and chosen.get("shape") in _WITH_QUERIES):
        return None
    if subject.is_function:
        queries, keys = whole.inputs.shape[-2], key_length(whole)
        lower = torch.ones(queries, keys, dtype=torch.bool).tril(diagonal=keys - queries)
        return whole.replaced(name, mask=lower.expand(whole.inputs.shape[0], 1, -1, -1).clone())
    if subject.is_declared or subject.contract.context_dim is not None:
        return None  # specs pass a mask of keys
    return with_mask(subject, whole, _allowing_all(whole), name).under(name, mask_form={"causal": True})


def _allowing_all(case: Case) -> torch.Tensor:
    return torch.ones(case.inputs.shape[0], key_length(case), dtype=torch.bool)
