"""How a mask changes the weights that a trace shows."""

import math
from enum import Enum

import torch
from torch import Tensor

from audit.attention.answers import Settled
from audit.attention.subject import AttentionSubject, Case
from audit.attention.traced import trace_of
from audit.plan import Run

_SAME = 1e-5  # of weights, which are of the order of one
_FACTOR = 0.05  # a factor of e has the logarithm 1; more than this beside it is another factor


class Change(Enum):
    """What a mask of keys does to the weights of the first sample."""

    NOTHING = "no weight changes"
    HIDDEN = "masked keys have no weight"
    LATE = "masked keys have no weight, and the weights of the others are those that they have beside them"
    INVERTED = "kept keys have no weight"
    FACTOR = "the weights of masked keys change by a factor of e against the others"
    QUERIES = "the weights of some queries change, and no key is left out"
    FUTURE = "queries see later keys that they do not see without the mask"
    CAUSAL = "queries do not see later keys that they see without the mask"
    PAST = "queries see earlier keys that they do not see without the mask"
    OTHER = "something else"


def change_by_mask(subject: AttentionSubject, run: Run, whole: Case, masked: Case, kept: Tensor) -> Change | None:
    """Return what the mask changes; None where the weights cannot be traced.

    Args:
        subject: what is called.
        run: the target's process.
        whole: a case without a mask.
        masked: the same with one.
        kept: bool, (Lk,): the keys of the first sample that the mask keeps.
    """
    before, after = (weights_of(subject, run, case) for case in (whole, masked))
    if before is None or after is None or before.shape != after.shape or before.shape[-1] != len(kept):
        return None
    later = torch.ones(before.shape[-2:], dtype=torch.bool).triu(diagonal=1)
    if kept.all():
        seen, seen_after = (x > _SAME for x in (before, after))
        if (seen_after & ~seen & later).any():
            return Change.FUTURE
        if (seen & ~seen_after & later).any():
            return Change.CAUSAL
        if (seen_after & ~seen & ~later).any():
            return Change.PAST
        return Change.NOTHING if float((after - before).abs().max()) <= _SAME else Change.OTHER
    if float((after - before).abs().max()) <= _SAME:
        return Change.NOTHING
    reaching = before[..., ~kept].amax(dim=-1) > _SAME  # queries that see a masked key without the mask
    if not reaching.any():
        return None
    rows = after[reaching]
    if float(rows[..., ~kept].abs().max()) <= _SAME:
        # Where weights do not sum to one, those of the others need not change.
        shared = float((before[reaching].sum(dim=-1) - 1).abs().max()) <= _SAME * len(kept)
        same = float((rows - before[reaching])[..., kept].abs().max()) <= _SAME
        return Change.LATE if shared and same else Change.HIDDEN
    if float(rows[..., kept].abs().max()) <= _SAME:
        return Change.INVERTED
    changed = (after - before).abs().amax(dim=-1) > _SAME  # (heads, queries)
    if len(kept) == changed.shape[-1] and not changed[..., kept].any():
        return Change.QUERIES
    ratio = (after[reaching] / before[reaching].clamp_min(1e-30)).clamp_min(1e-30).log()
    visible = before[reaching] > _SAME
    hidden, shown = ratio[visible & ~kept], ratio[visible & kept]
    if len(hidden) and len(shown) and math.isclose(abs(float(hidden.mean() - shown.mean())), 1.0, abs_tol=_FACTOR):
        return Change.FACTOR
    return Change.OTHER


def weights_of(subject: AttentionSubject, run: Run, case: Case) -> Tensor | None:
    """Return the weights of the first attention that a call carries out, (heads, queries, keys), where it has some."""
    try:
        trace = trace_of(subject, run, subject.finest_dtype, case)
    except Settled:
        return None
    found = next((core.weights for core in trace.cores if core.weights), None)
    if found is None or len({len(row) for head in found for row in head}) != 1:
        return None
    return torch.tensor(found, dtype=torch.float64)
