"""Which of queries and keys is rotated, where the positions of a rotary embedding were seen not to be relative."""

import torch

from audit.attention.cases import plain_case
from audit.attention.defects.cause import Cause
from audit.attention.defects.weights import weights_of
from audit.attention.subject import AttentionSubject
from audit.plan import Run

_LEAST = 1e-6  # a weight below this is that of a key that a mask hides
_SAME = 1e-4  # of logarithms of weights, which float32 rounds at 1e-6


def one_is_rotated(subject: AttentionSubject, run: Run) -> Cause | None:
    """Return that queries alone or keys alone are rotated, as the weights of one token repeated show it.

    Where keys alone are, a logit depends on the key's position only, and so do ratios of weights to that of the first
    key; where queries alone are, on the query's only, and every ratio is one.
    """
    plain = plain_case(subject, subject.generator(run.seed))
    hidden = plain.tensors["hidden_states"]
    weights = weights_of(
        subject, run, plain.replaced("one token repeated", hidden_states=hidden[:, :1].expand_as(hidden))
    )
    if weights is None or weights.shape[-1] != hidden.shape[1] or bool((weights[..., 0] < _LEAST).any()):
        return None
    seen = weights > _LEAST
    ratios = (weights.clamp_min(_LEAST) / weights[..., :1]).log()
    last = ratios[:, -1:]
    if not bool(seen[:, -1].all()) or not bool(seen[..., 1:].any()):
        return None
    zero = torch.zeros(()).double()
    if float(ratios.where(seen, zero).abs().max()) <= _SAME:
        return Cause(bug="rotary_turned", says="the position of a key has no part in its weights: keys are not rotated")
    if float((ratios - last).where(seen, zero).abs().max()) <= _SAME:
        return Cause(
            bug="rotary_turned", says="the position of a query has no part in its weights: queries are not rotated"
        )
    return None
