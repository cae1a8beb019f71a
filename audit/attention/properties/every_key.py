"""Every query sees every key of a sequence that nothing hides."""

import torch

from audit.attention.cases import plain_case
from audit.attention.properties.influence import cases_of_each_key, unmoved
from audit.attention.properties.judging import call_raised, no_reference
from audit.attention.properties.runs import compared
from audit.attention.subject import AttentionSubject
from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="attention.every_key",
    title="Every query sees every key that nothing hides",
    proves="Across two sequences, or where both directions are declared, replacing any one key changes the output of "
    "every query.",
    defect="a causal mask between the tokens of two sequences",
    severity=Severity.CRITICAL,
)
_ORIGIN = "every key has a weight above zero in every softmax that no mask changes"
_SAMPLES = 2  # inputs; where a weight is too small to show in one, it is not in the other


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Replace one key after the other, on two inputs, and look which queries' outputs stay exactly as they were."""
    contract = subject.contract
    if contract.context_dim is None and "every_key" not in subject.claims:
        return not_applicable("nothing declares that every query sees every key; attention.causality judges what does")
    if subject.is_always_causal or (contract.is_causal and not subject.is_function) or contract.window is not None:
        return not_applicable("the contract declares causality or a window: some keys are not seen")
    if not subject.is_declared and contract.context_dim is not None and "every_key" not in subject.claims:
        return not_applicable("undeclared: whether some keys of the context are left out on purpose")
    generator = subject.generator(run.seed)
    groups = [cases_of_each_key(plain_case(subject, generator, is_causal=False), generator) for _ in range(_SAMPLES)]
    try:
        runs = compared(subject, run, subject.finest_dtype, [case for group in groups for case in group])
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    if trouble := no_reference(runs.outputs[0], runs.bound, may_be_constant=True):
        return trouble
    size = len(groups[0])
    unseen = torch.ones(groups[0][0].inputs.shape[-2], size - 1, dtype=torch.bool)
    for start in range(0, len(runs.outputs), size):
        unseen &= unmoved(runs.outputs[start], runs.outputs[start + 1 : start + size])
    if bool(unseen.all()):
        return error("replacing a key changed no output: nothing was tested")
    # A function is given its keys, and a module makes them: there, some may be for another purpose.
    if not subject.is_declared and not subject.is_function and bool(unseen.all(dim=0).any() or unseen.all(dim=1).any()):
        return not_applicable(
            "undeclared: which tokens take part; observed: some keys or queries are left out altogether"
        )
    queries, keys = unseen.shape
    measured = Measured(
        value=int(unseen.sum()),
        bound=0,
        comparison=Comparison.EQUAL,
        origin=_ORIGIN,
        unit=f"of {queries * keys} pairs of a query and a key without influence",
    )
    later = unseen & (torch.arange(keys) > torch.arange(queries)[:, None])
    known = ", all of them later keys, as with a causal mask" if bool((later == unseen).all()) else ""
    return judged(
        measured,
        otherwise=f"some keys have no influence on some queries{known}" + subject.claim("every_key"),
        fix="mask nothing but what the caller asks for",
    )
