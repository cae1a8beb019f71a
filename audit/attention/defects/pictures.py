"""The attention pattern that was observed, and the one that is declared, for one head of one sample."""

import torch
from torch import Tensor

from audit.attention import oracle
from audit.attention.answers import Settled
from audit.attention.cases import key_length, padding_mask, plain_case, with_mask
from audit.attention.defects.weights import weights_of
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import ProbeFailure, TargetRaised
from audit.plan import Run
from audit.results import Picture

_LENGTH = 8
_MOVED = 1e-6  # relative to the largest response; less is rounding
_OF_MASKS = ("mask_", "empty_rows")


def picture_of(subject: AttentionSubject, run: Run, bug: str) -> Picture | None:
    """Return both patterns on a short input, under a mask where the mistake is one of masks; None without sizes."""
    try:
        case = _case(subject, run, bug)
        if case is None:
            return None
        expected, how = _expected(subject, run, case)
        observed = weights_of(subject, run, case)
        if observed is not None and tuple(observed.shape[-2:]) == tuple(expected.shape):
            shown, what = observed[0], "weights of the first head, as traced"
        else:
            shown, what = _response(subject, run, case), "change of each output when one key is replaced"
            expected, how = (expected > 0).double(), "1 where a key may have an influence"
    except (Settled, TargetRaised, ProbeFailure):
        return None
    if shown.shape != expected.shape or not bool(torch.isfinite(shown).all()):
        return None
    return Picture(
        title=f"attention of {subject.name}, {case.name}",
        observed=_rows(shown),
        expected=_rows(expected),
        of=f"observed: {what}; expected: {how}; first sample of {case.inputs.shape[0]}",
    )


def _case(subject: AttentionSubject, run: Run, bug: str) -> Case | None:
    contract = subject.contract
    length = _LENGTH if contract.window is None or contract.window + 2 > 2 * _LENGTH else contract.window + 3
    generator = subject.generator(run.seed)
    case = plain_case(subject, generator, length=length)
    if contract.key_mask and bug.startswith(_OF_MASKS):
        keys = key_length(case)
        mask = torch.ones(case.inputs.shape[0], keys, dtype=torch.bool)
        if bug != "mask_and_causal":
            mask = padding_mask(side="right", length=keys)
        return with_mask(subject, case, mask, "last keys masked" if bug != "mask_and_causal" else "every key kept")
    return case.replaced(f"{length} tokens")


def _expected(subject: AttentionSubject, run: Run, case: Case) -> tuple[Tensor, str]:
    """Return (Lq, Lk): the oracle's weights of the first head, or 1 / number of keys that may be seen."""
    if subject.has_oracle:
        state = subject.state(run, subject.finest_dtype)
        scores, allowed = subject.logits(state, case)
        scores = scores.masked_fill(~allowed & allowed.any(dim=-1, keepdim=True), -torch.inf)
        weights = scores.softmax(dim=-1) * allowed
        return weights[0, 0], "weights that the contract declares"
    queries, keys = case.inputs.shape[-2], key_length(case)
    shape = (1, 1, queries, 1)
    mask = case.tensors.get("mask", case.tensors.get("key_mask"))
    mask = mask[:, None, None, :] if mask is not None and mask.dim() == 2 else mask
    allowed = oracle.allowed_keys(
        torch.zeros(shape),
        torch.zeros(1, 1, keys, 1),
        contract=subject.contract,
        is_causal=bool(subject.contract.is_causal) and subject.contract.context_dim is None,
        mask=None if mask is None else mask[:1],
    )[0, 0].double()
    return allowed / allowed.sum(dim=-1, keepdim=True).clamp_min(1.0), "equal weights of the keys that may be seen"


def _response(subject: AttentionSubject, run: Run, case: Case) -> Tensor:
    """Return (Lq, Lk): how far each output of the first sample moves when one key is replaced, the largest as 1."""
    generator = subject.generator(run.seed + 1)
    keys = key_length(case)
    names = [name for name in ("context", "hidden_states", "key", "value") if name in case.tensors]
    names = ["context"] if "context" in names else names
    cases = [case]
    for position in range(keys):
        changed = {}
        for name in names:
            changed[name] = case.tensors[name].clone()
            part = changed[name][..., position, :]
            part.copy_(3 * torch.randn(part.shape, generator=generator, dtype=part.dtype))
        cases.append(case.replaced(case.name, **changed))
    first, *others = subject.forward(run, subject.finest_dtype, cases, opened=True).outputs
    moved = torch.stack([_by_query(each - first) for each in others], dim=-1).double()
    largest = float(moved.max())
    return moved / largest * (moved > _MOVED * largest) if largest > 0 else moved


def _by_query(change: Tensor) -> Tensor:
    """Return how far each query of the first sample moved: (Lq,)."""
    own = change[0].double().abs()
    return own.amax(dim=(0, 2)) if own.dim() == 3 else own.amax(dim=1)


def _rows(matrix: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(each), 4) for each in row) for row in matrix)
