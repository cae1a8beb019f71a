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


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare calls without a mask and with one that allows everything."""
    if not subject.contract.key_mask:
        return not_applicable(subject.why_no_mask)
    if subject.contract.is_causal and subject.contract.given_mask == "replaces":
        return not_applicable("the contract declares that a given mask replaces the causal one")
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
            return not_applicable(
                "undeclared: whether a given mask replaces the causal one; observed: it does, so that later tokens "
                "change earlier outputs under a mask that allows everything"
            )
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise="a mask that allows every key changes the outputs, as where it replaces the causal one: {case}"
        + subject.claim("given_mask"),
        fix="combine the given mask with the causal one, and turn a bool mask into 0 and -inf before it is added",
    )


def _allowing_all(case: Case) -> torch.Tensor:
    return torch.ones(case.inputs.shape[0], key_length(case), dtype=torch.bool)
