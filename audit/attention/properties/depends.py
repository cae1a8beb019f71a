"""The output depends on the input and on other tokens, and is not the input."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from audit.attention.bounds import distance
from audit.attention.cases import key_length, plain_case, replaced_keys, with_cotangent
from audit.attention.properties.judging import call_raised, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, failed, judged, not_applicable
from audit.plan import Run
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="attention.depends",
    title="The output depends on the input and on other tokens",
    proves="Other inputs and other keys give other outputs, every position has its own, none is the input, and the "
    "gradients of queries and keys are not zero.",
    defect="tokens that are made the batch, so that each attends to itself alone",
    severity=Severity.CRITICAL,
)

_CHANGED = 5  # the key that is replaced: in the middle, so that it has queries on both sides
_SAME = "another input has the same output"
_SAME_ACROSS = "another context has the same output"
_INPUT = "the output is the input"
_PLAIN = (_SAME, _SAME_ACROSS, _INPUT)  # what explains gradients that are zero
_ORIGIN = "the softmax over several keys depends on all of their logits"
_ALONE = (
    "replacing one key changes no other token's output, as where tokens are made the batch, or attention runs over "
    "heads"
)
_ONE_KEY = (
    "the gradients of {names} are exactly zero for every input, as where the softmax is taken over one key, whose "
    "weight is one whatever its logit"
)
_FIX = "attend over the axis of positions, to every key that the mask allows"
# Names of projections of queries or keys, and of those that are joined with others in one matrix.
_SEPARATE = re.compile(
    r"((to|w|fc|lin|linear|proj)_?)?(q|query|queries|k|key|keys)(_?(proj|lin|linear|layer|net|fc|w))?"
)
_JOINED = re.compile(r"((to|w|c)_?)?(qkv|kv|qk|in_proj_weight|query_key_value|attn)(_?(proj|lin|linear|layer))?")


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Change the input as a whole and at one key, and differentiate."""
    generator = subject.generator(run.seed)
    case, other = plain_case(subject, generator), plain_case(subject, generator)
    where = torch.zeros(case.inputs.shape[0], key_length(case), dtype=torch.bool)
    where[:, _CHANGED] = True
    cases = [case, other, replaced_keys(case, where, generator)]
    if "context" in case.tensors:
        cases.append(case.replaced("another context", context=other.tensors["context"]))
    mixed = {name: torch.cat((tensor[:1], other.tensors[name][1:])) for name, tensor in case.tensors.items()}
    beside = case.replaced("the other samples replaced", **mixed)
    dtype = subject.finest_dtype
    differentiated = [with_cotangent(each, generator) for each in (case, other)]
    try:
        runs = compared(subject, run, dtype, [*cases, beside], differentiated=differentiated)
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    if trouble := no_reference(runs.outputs[0], runs.bound, may_be_constant=True):
        return trouble
    influences = _influences(case, runs.outputs[: len(cases)])
    lacking = next((what for what, size in influences.items() if size < runs.bound), None)
    zero = _without_gradient(subject, runs.answers.gradients[len(cases) + 1 : len(cases) + 3])
    if zero and lacking not in _PLAIN:
        counted = Measured(
            value=len(zero), bound=0, comparison=Comparison.EQUAL, origin=_ORIGIN, unit="projections without a gradient"
        )
        return failed(_ONE_KEY.format(names=" and ".join(zero)), measured=counted, fix=_FIX)
    # Frames, windows or graphs may be folded into the batch; that samples do not affect each other is another property.
    joins_samples = distance(runs.outputs[len(cases)][0], runs.outputs[0][0]) > runs.bound
    if lacking == _ALONE and not subject.is_declared and (joins_samples or not subject.contract.num_heads):
        return not_applicable(f"undeclared: over what it attends; observed: {_ALONE}")
    measured = Measured(
        value=influences[lacking] if lacking else min(influences.values()),
        bound=runs.bound,
        comparison=Comparison.AT_LEAST,
        origin="what differs by no more than rounding is the same: " + bound_origin(subject).format(dtype=dtype),
        unit="max abs difference",
    )
    return judged(measured, otherwise=lacking or "", fix=_FIX)


def _influences(case: Case, outputs: Sequence[Tensor]) -> dict[str, float]:
    """Return how far the output is from what it must not be, by what is wrong where that is nowhere."""
    first, other, moved, *across = outputs
    found = {_SAME: distance(other, first)}
    if across:
        found[_SAME_ACROSS] = distance(across[0], first)
    own = [tensor for tensor in case.tensors.values() if tensor.shape == first.shape]
    found[_INPUT] = min((distance(first, each.to(first.dtype)) for each in own), default=torch.inf)
    # A context has no position in common with the output.
    rows = torch.arange(first.shape[-2]) != (-1 if across else _CHANGED)
    found[_ALONE] = distance(moved[..., rows, :], first[..., rows, :])
    mean = first.mean(dim=-2, keepdim=True)
    return found | {"every position has the same output": distance(mean.expand_as(first), first)}


def _without_gradient(subject: AttentionSubject, gradients: Sequence[Mapping[str, Tensor]]) -> list[str]:
    """Return the names of queries and keys where the gradients of all that belong to them are zero, else nothing."""
    wanted = {"query", "key"} if subject.is_function else _weights(subject, gradients[0])
    found = {name: [each[name] for each in gradients if name in each] for name in sorted(wanted)}
    if not found or not all(len(each) == len(gradients) for each in found.values()):
        return []
    zero = [name for name, each in found.items() if all(_is_zero(gradient) for gradient in each)]
    return [name.removeprefix("parameter.") for name in zero] if len(zero) == len(found) else []


def _weights(subject: AttentionSubject, gradients: Mapping[str, Tensor]) -> set[str]:
    """Return the names of the weights of queries and keys among the gradients: declared, or by their usual names."""
    if names := subject.contract.projections:
        return {f"parameter.{names.query}.weight", f"parameter.{names.key}.weight"}
    found = set()
    for name, gradient in gradients.items():
        own = name.removesuffix(".weight").rpartition(".")[2].lower()
        if gradient.dim() == 2 and (_SEPARATE.fullmatch(own) or (_JOINED.fullmatch(own) and _may_join(own, gradient))):
            found.add(name)
    return found


def _may_join(name: str, weight: Tensor) -> bool:
    """Whether a matrix can hold the projections of several: one that is called `attn` may also give the weights."""
    narrow, wide = sorted(weight.shape)
    return "attn" not in name or (wide % narrow == 0 and wide // narrow in (2, 3))


def _is_zero(gradient: Tensor) -> bool:
    """Whether a gradient is exactly zero, or at least half of the rows or columns of a matrix are."""
    if gradient.dim() != 2:
        return not gradient.any()
    # Half and not all: one matrix may hold the projections of keys and values, or of all three.
    return any(int((~gradient.any(dim=axis)).sum()) * 2 >= gradient.shape[1 - axis] for axis in (0, 1))
