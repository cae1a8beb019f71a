"""Every query sees every key of a sequence that nothing hides."""

import torch
from torch import Tensor

from audit.attention.cases import key_length, plain_case, replaced_keys
from audit.attention.properties.judging import call_raised, no_reference
from audit.attention.properties.runs import compared
from audit.attention.subject import AttentionSubject, Case
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
    if subject.is_function or (contract.context_dim is None and "every_key" not in subject.claims):
        return not_applicable("nothing declares that every query sees every key; attention.causality judges what does")
    if contract.is_causal or contract.window is not None:
        return not_applicable("the contract declares causality or a window: some keys are not seen")
    if not subject.is_declared and contract.context_dim is not None and "every_key" not in subject.claims:
        return not_applicable("undeclared: whether some keys of the context are left out on purpose")
    generator = subject.generator(run.seed)
    groups = [_cases(plain_case(subject, generator), generator) for _ in range(_SAMPLES)]
    try:
        runs = compared(subject, run, subject.finest_dtype, [case for group in groups for case in group])
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    if trouble := no_reference(runs.outputs[0], runs.bound, may_be_constant=True):
        return trouble
    size = len(groups[0])
    unseen = torch.ones(groups[0][0].inputs.shape[1], size - 1, dtype=torch.bool)
    for start in range(0, len(runs.outputs), size):
        unseen &= _unseen(runs.outputs[start], runs.outputs[start + 1 : start + size])
    if bool(unseen.all()):
        return error("replacing a key changed no output: nothing was tested")
    if not subject.is_declared and bool(unseen.all(dim=0).any() or unseen.all(dim=1).any()):
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


def _cases(case: Case, generator: torch.Generator) -> list[Case]:
    """Return the case, and one for each key in which that is another."""
    batch, keys = case.inputs.shape[0], key_length(case)
    cases = [case]
    for key in range(keys):
        where = torch.zeros(batch, keys, dtype=torch.bool)
        where[:, key] = True
        cases.append(replaced_keys(case, where, generator).replaced(f"key {key} replaced"))
    return cases


def _unseen(first: Tensor, moved: tuple[Tensor, ...]) -> Tensor:
    """Return which queries' outputs are exactly the same in every sample: bool, (Lq, Lk)."""
    return torch.stack([(each == first).all(dim=-1).all(dim=0) for each in moved], dim=-1)
