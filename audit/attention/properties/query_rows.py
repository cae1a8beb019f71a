"""The output of a query does not depend on the other queries."""

import torch

from audit.attention.answers import Settled
from audit.attention.bounds import Deviation, distance
from audit.attention.cases import key_length, plain_case
from audit.attention.contract import Contract, Dtype
from audit.attention.properties.judging import call_raised, joining_layers, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import LENGTH, AttentionSubject, Case
from audit.attention.traced import cores_of, traces_of
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.raised import describe_raised
from audit.results import Check, Severity

CHECK = Check(
    id="attention.query_rows",
    title="Queries do not affect each other",
    proves="Queries in chunks, alone and among other queries have the output that they have among all.",
    defect="a softmax over the queries",
    severity=Severity.CRITICAL,
)

# Chunks that do not end where the usual blocks do, and one query alone.
_CHUNKS = ((0, 1), (0, 4), (4, LENGTH), (LENGTH - 1, LENGTH))
_REPLACED = 3  # the first queries, in the case in which they are others


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Call with some of the queries, and compare with the output of all."""
    if not subject.is_function and subject.contract.context_dim is None:
        return not_applicable("it makes queries and keys of one input, which cannot be parted")
    generator = subject.generator(run.seed)
    whole = plain_case(subject, generator, is_causal=False)
    name = "query" if subject.is_function else "hidden_states"
    chunks = [(start, end) for start, end in _CHUNKS if _in_place(subject.contract, start, end)]
    parts = [
        whole.replaced(f"queries {start} to {end - 1} alone", **{name: whole.tensors[name][..., start:end, :]})
        for start, end in chunks
    ]
    mixed = whole.tensors[name].clone()
    first = mixed[..., :_REPLACED, :]
    first.copy_(torch.randn(first.shape, generator=generator, dtype=first.dtype))
    other = whole.replaced("other queries replaced", **{name: mixed})
    dtype = subject.finest_dtype
    tolerated = [_tolerated(part) for part in parts] if not subject.is_declared else parts
    try:
        runs = compared(subject, run, dtype, [whole, other, *tolerated])
    except TargetRaised as raised:
        if subject.is_declared:
            return call_raised(subject, run, raised)
        return not_applicable(f"undeclared: how it is called without a mask; {describe_raised(raised, run.target)}")
    full, beside, *found = runs.outputs
    if trouble := no_reference(full, runs.bound):
        return trouble
    if distance(beside[..., :_REPLACED, :], full[..., :_REPLACED, :]) <= runs.bound:
        return error("other queries have the same outputs: nothing was tested")
    kept = slice(_REPLACED, None)
    deviations = [
        Deviation(case=other.name, error=distance(beside[..., kept, :], full[..., kept, :]), bound=runs.bound)
    ]
    for index, (part, (start, end), output) in enumerate(zip(parts, chunks, found, strict=True)):
        if index + 2 not in runs.answers.refused:
            apart = distance(output, full[..., start:end, :])
            deviations.append(Deviation(case=part.name, error=apart, bound=runs.bound))
    if not all(each.holds for each in deviations) and not subject.is_declared:
        if layers := joining_layers(subject):
            return not_applicable(f"undeclared: whether queries may affect each other through its {layers}")
        if not subject.is_function and not _has_keys_of_its_own(subject, run, dtype, key_length(whole)):
            return not_applicable("undeclared: whether the tokens that queries are made of are keys as well")
        if deviations[0].holds:  # positions or an alignment may be counted from the end
            return not_applicable("undeclared: where the first of fewer queries stands; others have no influence on it")
    return judge_deviations(
        [(dtype, each) for each in deviations],
        origin=bound_origin(subject),
        otherwise="the output of a query depends on the other queries, as where the softmax runs over them: {case}",
        fix="take the softmax over the keys, and let nothing but the keys and its own position enter a query's output",
    )


def _in_place(contract: Contract, start: int, end: int) -> bool:
    """Whether the queries from `start` to `end` stand alone where they stand among all, as far as positions matter.

    Where keys are counted from the query, the contract says where fewer queries stand: the last are the last, or the
    first are the first.
    """
    if contract.rotary_base is not None:
        return False
    if contract.window is None and contract.alibi_slopes is None:
        return True
    return end == LENGTH if contract.causal_alignment == "bottom_right" else start == 0


def _has_keys_of_its_own(subject: AttentionSubject, run: Run, dtype: Dtype, keys: int) -> bool:
    """Whether queries are seen to attend to the context alone, and not, as two streams do, to each other too."""
    try:
        cores = cores_of(traces_of(subject, run, dtype).first)
    except Settled:  # nothing could be followed
        return False
    seen = {len(row) for core in cores for head in core.weights or () for row in head}
    return seen == {keys}


def _tolerated(case: Case) -> Case:
    return case.under(case.name, tolerated=True)
