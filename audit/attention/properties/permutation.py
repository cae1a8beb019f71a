"""Without positions, the order of tokens does not matter."""

import torch
from torch import Tensor

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import key_length, keys_of, plain_case
from audit.attention.properties.judging import call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.permutation",
    title="Without positions, permuted tokens give permuted outputs",
    proves="Without positions and causality, outputs follow their queries to other places, and the order of keys does "
    "not matter.",
    defect="heads that are split without moving axes, so that tokens are mixed up",
    severity=Severity.CRITICAL,
)


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Permute the tokens, or queries and keys each in their own way."""
    contract = subject.contract
    if contract.rotary_base is not None:
        return not_applicable("the contract declares rotary positions: the order of tokens matters")
    if contract.window is not None or contract.alibi_slopes is not None:
        return not_applicable("the contract declares a window or linear biases: the order of tokens matters")
    if contract.is_causal and not subject.is_function:
        return not_applicable("the contract declares is_causal = True: the order of tokens matters")
    generator = subject.generator(run.seed)
    case = plain_case(subject, generator, is_causal=False)
    order, own = _order(case.inputs.shape[-2], generator), _order(key_length(case), generator)
    moved = _permuted(case, order, own)
    dtype = subject.finest_dtype
    try:
        runs = compared(subject, run, dtype, [case, moved])
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    first, second = runs.outputs
    if trouble := no_reference(first, runs.bound):
        return trouble
    deviation = Deviation(case=moved.name, error=distance(second, first[..., order, :]), bound=runs.bound)
    # Only with an oracle does the contract say all that it would have to say of positions, biases and windows.
    tells = contract.positions == "none" or (subject.is_declared and subject.has_oracle)
    if not deviation.holds and not tells:
        return not_applicable("undeclared: whether tokens have positions; observed: their order matters")
    return judge_deviations(
        [(dtype, deviation)],
        origin=bound_origin(subject),
        otherwise="outputs do not follow their tokens to other places, as where heads are split or merged without "
        "moving axes, or where a bias or an embedding of positions is inside: {case}" + subject.claim("positions"),
        fix="split features as (B, L, H, D) and transpose to (B, H, L, D); declare positions if there are any, and "
        "leave out `projections` where no key of the contract describes them, as of a learned bias",
    )


def _order(length: int, generator: torch.Generator) -> Tensor:
    """Return a permutation that moves every token."""
    shuffled = torch.randperm(length, generator=generator)
    order = torch.empty_like(shuffled)
    order[shuffled] = shuffled.roll(1)
    return order


def _permuted(case: Case, order: Tensor, own: Tensor) -> Case:
    """Return the case with its tokens in another order; keys that are not the queries' tokens in one of their own."""
    tensors = {name: case.tensors[name][..., own, :] for name in keys_of(case)}
    name = "hidden_states" if "hidden_states" in case.tensors else "query"
    tensors[name] = case.tensors[name][..., order, :]
    return case.replaced("tokens in another order", **tensors)
