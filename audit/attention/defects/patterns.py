"""Which key has how much to say in each query, as it is observed and as it should be, and whether that can be seen.

Weights are those that a trace shows; where it shows none, or shows right ones, keys are replaced one by one and the
outputs that move tell which keys have an influence.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from audit.attention import oracle
from audit.attention.cases import key_length, keys_of
from audit.attention.defects.weights import weights_of
from audit.attention.plain import emptied
from audit.attention.subject import DTYPES, AttentionSubject, Case
from audit.attention.traced import cores_of, traces_of
from audit.plan import Run
from audit.report.pictures import NOTHING, STEPS

_MOVED = 8  # times what the dtype resolves, of the largest change; less is rounding
_NOTICED = 0.02  # of the largest in its row: a tenth of what two steps of the blocks are apart
_WEIGHTS = "weights of head {head}, as traced"
_CHANGE = "change of each output when one key is replaced"


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Both tables (Lq, Lk), and what their numbers are.

    `is_influence`: what is observed are sizes of changes, of which only is expected that they are none or some.
    """

    observed: Tensor
    expected: Tensor
    what: str
    how: str
    sample: int = 0
    is_influence: bool = False

    @property
    def shows(self) -> bool:
        """Whether both look different where they are drawn row by row, each against its largest."""
        if self.observed.shape != self.expected.shape or not bool(torch.isfinite(self.observed).all()):
            return False
        observed, expected = _shares(self.observed), _shares(self.expected)
        one_is_none = (observed == 0) | (expected == 0)
        if self.is_influence:
            return bool((one_is_none & ((observed <= NOTHING) != (expected <= NOTHING))).any())
        noticed = one_is_none | ((observed - expected).abs() > _NOTICED)
        return bool((noticed & (_steps(observed) != _steps(expected))).any())


def of_weights(subject: AttentionSubject, run: Run, case: Case, whole: Case | None = None) -> Iterator[Pattern]:
    """Yield the traced weights of each head beside those that are right.

    Args:
        subject: what is called.
        run: the target's process.
        case: the inputs.
        whole: the same without a mask, where the case has one.
    """
    observed = weights_of(subject, run, case)
    if observed is None:
        return
    if subject.has_oracle:
        expected, how = _declared(subject, run, case), "weights that the contract declares"
    else:
        base = observed if whole is None else weights_of(subject, run, whole)
        if base is None or base.shape != observed.shape:
            return
        allowed = allowed_in(subject, case, 0)
        if tuple(allowed.shape) != tuple(base.shape[-2:]):
            return
        expected = _left_over(base, allowed)
        how = "the same of the keys that may be seen" if whole is None else "those without a mask, of the keys it keeps"
    if expected.shape != observed.shape:
        return
    expected = _where_declared(subject, case, observed, expected)
    for head, (seen, right) in enumerate(zip(observed, expected, strict=True), start=1):
        yield Pattern(observed=seen, expected=right, what=_WEIGHTS.format(head=head), how=how)


def of_scale(subject: AttentionSubject, run: Run, case: Case) -> Iterator[Pattern]:
    """Yield the traced weights of each head beside those that the same logits give under the right scale.

    Args:
        subject: what is called, whose scale is wrong.
        run: the target's process.
        case: plain inputs of the length of those that are traced, for a wrong scale may be of a length.
    """
    cores = cores_of(traces_of(subject, run, subject.finest_dtype).first)
    core = next((each for each in cores if each.weights), None)
    observed = weights_of(subject, run, case)
    if core is None or observed is None or not core.factor or not core.head_dim or core.biased or core.soft_cap:
        return
    right = subject.contract.scale if subject.contract.scale is not None else core.head_dim**-0.5
    logits = observed.log() * (right / core.factor)  # but for a number of each row, which the softmax takes off
    for head, (seen, expected) in enumerate(zip(observed, logits.softmax(dim=-1), strict=True), start=1):
        how = f"those of the same logits under a scale of {right:.4g} in place of {core.factor:.4g}"
        yield Pattern(observed=seen, expected=expected, what=_WEIGHTS.format(head=head), how=how)


def of_influence(subject: AttentionSubject, run: Run, case: Case, *, all_have: bool) -> Iterator[Pattern]:
    """Yield for each sample how far its outputs move when one key is replaced, and which may have an influence.

    Args:
        subject: what is called.
        run: the target's process.
        case: the inputs.
        all_have: whether each key that may be seen must have an influence; else nothing is expected of one without.
    """
    how = "1 where a key may have an influence"
    for sample, moved in enumerate(_responses(subject, run, case)):
        allowed = allowed_in(subject, case, sample)
        if allowed.shape != moved.shape:
            return
        allowed = allowed if all_have else allowed & (moved > 0)
        expected = _where_declared(subject, case, (moved > 0).double(), allowed.double(), sample=sample)
        if not subject.is_function and "context" not in case.tensors:
            # A query of a module moves with its own token, whether or not it may attend to it.
            others = ~torch.eye(*moved.shape, dtype=torch.bool)
            moved, expected, how = moved * others, expected * others, f"{how.partition(';')[0]}; without its own token"
        yield Pattern(observed=moved, expected=expected, what=_CHANGE, how=how, sample=sample, is_influence=True)


def of_change(
    subject: AttentionSubject, run: Run, case: Case, *, right: tuple[AttentionSubject, Run, Case], what: str, how: str
) -> Iterator[Pattern]:
    """Yield for each sample how far outputs move in a case that should be like another, and how far they do in that.

    Args:
        subject: what is called.
        run: the target's process.
        case: the inputs, under what makes the difference.
        right: the same three where nothing does.
        what: says of the case what makes the difference, and
        how: what it is compared with.
    """
    moved, others = _responses(subject, run, case), _responses(*right)
    for sample, (observed, expected) in enumerate(zip(moved, others, strict=True)):
        yield Pattern(observed=observed, expected=expected, what=f"{_CHANGE}, {what}", how=how, sample=sample)


def allowed_in(subject: AttentionSubject, case: Case, sample: int) -> Tensor:
    """Return which keys each query of a sample may attend to: bool, (Lq, Lk)."""
    queries, keys = case.inputs.shape[-2], key_length(case)
    mask = case.tensors.get("mask", case.tensors.get("key_mask"))
    mask = mask[:, None, None, :] if mask is not None and mask.dim() == 2 else mask
    is_causal = case.is_causal if subject.is_function else bool(subject.contract.is_causal)
    return oracle.allowed_keys(
        torch.zeros(1, 1, queries, 1),
        torch.zeros(1, 1, keys, 1),
        contract=subject.contract,
        is_causal=is_causal and subject.contract.context_dim is None,
        mask=None if mask is None else mask[sample : sample + 1],
    )[0, 0]


def _declared(subject: AttentionSubject, run: Run, case: Case) -> Tensor:
    """Return the oracle's weights of the first sample: (H, Lq, Lk)."""
    state = subject.state(run, subject.finest_dtype)
    scores, allowed = subject.logits(state, case)
    has_key = allowed.any(dim=-1, keepdim=True)
    weights = scores.masked_fill(~allowed & has_key, -torch.inf).softmax(dim=-1)
    return emptied(weights, has_key, subject.contract)[0]


def _where_declared(
    subject: AttentionSubject, case: Case, observed: Tensor, expected: Tensor, *, sample: int = 0
) -> Tensor:
    """Return what is expected, and what is observed of queries that may attend to nothing where nothing is declared."""
    if subject.contract.empty_row == "zeros":
        return expected
    empty = ~allowed_in(subject, case, sample).any(dim=-1, keepdim=True)
    if subject.contract.empty_row == "uniform":
        return torch.where(empty, 1 / expected.shape[-1], expected)
    return torch.where(empty, observed, expected)


def _left_over(weights: Tensor, allowed: Tensor) -> Tensor:
    """Return what is left of weights (H, Lq, Lk) where only some keys may be seen, equal ones where nothing is."""
    kept = weights * allowed
    total = kept.sum(dim=-1, keepdim=True)
    equal = allowed / allowed.sum(dim=-1, keepdim=True).clamp_min(1)
    return torch.where(total > 0, kept / total.clamp_min(torch.finfo(total.dtype).tiny), equal.to(kept.dtype))


def _responses(subject: AttentionSubject, run: Run, case: Case) -> Tensor:
    """Return how far each output moves when one key is replaced, the most of each sample as 1: (B, Lq, Lk)."""
    generator = subject.generator(run.seed + 1)
    cases = [case]
    for position in range(key_length(case)):
        changed = {}
        for name in keys_of(case):
            changed[name] = case.tensors[name].clone()
            part = changed[name][..., position, :]
            part.copy_(3 * torch.randn(part.shape, generator=generator, dtype=part.dtype))
        cases.append(case.replaced(case.name, **changed))
    kind = "decode" if case.circumstances.get("chunks") else "forward"
    answers = subject.ask(run, subject.finest_dtype, [(kind, each) for each in cases], opened=True)
    first, *others = answers.outputs
    moved = torch.stack([_by_query(each - first) for each in others], dim=-1).double()
    largest = moved.amax(dim=(1, 2), keepdim=True)
    resolved = _MOVED * torch.finfo(DTYPES[subject.finest_dtype]).eps * largest
    return moved / largest.clamp_min(torch.finfo(moved.dtype).tiny) * (moved > resolved)


def _by_query(change: Tensor) -> Tensor:
    """Return how far each query of each sample moved: (B, Lq)."""
    own = change.double().abs()
    return own.amax(dim=(1, 3)) if own.dim() == 4 else own.amax(dim=2)


def _shares(matrix: Tensor) -> Tensor:
    largest = matrix.abs().amax(dim=-1, keepdim=True)
    return matrix.abs() / torch.where(largest > 0, largest, torch.ones_like(largest))


def _steps(shares: Tensor) -> Tensor:
    """Return which block stands for each share: none, or the step of the largest in which it lies."""
    return torch.where(shares <= NOTHING, -1.0, (shares * STEPS).floor().clamp_max(STEPS - 1))
