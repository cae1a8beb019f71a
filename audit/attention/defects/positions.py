"""Positions that have a part in what is computed and that no key of the contract describes: a learned bias, a table."""

from collections.abc import Mapping, Sequence

import torch

from audit.attention.answers import Settled
from audit.attention.bounds import distance
from audit.attention.cases import key_length, plain_case
from audit.attention.defects.cause import Cause
from audit.attention.defects.direction import ROTATED
from audit.attention.defects.patterns import allowed_in
from audit.attention.defects.weights import weights_of
from audit.attention.properties.runs import compared
from audit.attention.subject import AttentionSubject, Case
from audit.attention.traced import Core, traces_of
from audit.plan import Run
from audit.results import Result

_SAME = 1e-4  # of logarithms of weights, which float32 rounds at 1e-6
_LEAST = 1e-6  # a weight below this is that of a key that a mask hides
BIASED = (
    "positions change the weights, as a relative bias inside does, and the contract declares none: one token repeated "
    "gives what it gives alone, so that no features of several tokens are mixed"
)
_ADDED = (
    "the order of tokens changes the outputs, and already one token alone has another output than the contract "
    "describes, as where an embedding of positions is added to it: heads that are mixed up do not explain that"
)
_MIXED = "one token repeated does not give what it gives alone: features of several tokens are mixed"


def of_order(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    """Return why outputs do not follow their tokens to other places.

    Heads that are split or merged without moving axes mix features of several tokens, and of one token repeated other
    features of it; whatever positions do to logits, weights that sum to one make of equal tokens what they make of one.
    """
    cores = _cores(subject, run)
    if core := next((core for core in cores if core.rotated), None):
        return Cause(bug="undeclared_positions", says=ROTATED, location=core.location(run.target))
    plain = plain_case(subject, subject.generator(run.seed), is_causal=False)
    dtype = subject.finest_dtype
    one, repeated = _of_one_token(plain)
    runs = compared(subject, run, dtype, [one, repeated], bounded=(0, 1))
    alone, many = runs.outputs
    if distance(many, alone.expand_as(many)) <= max(runs.bounds):
        return _declared_nowhere(cores, run)
    if subject.has_oracle and not subject.is_function:
        sent = subject.as_sent(one, dtype)
        if distance(alone, subject.reference(runs.answers.state, sent)) > runs.bounds[0] / 2:
            return Cause(bug=None, says=_ADDED)
        return Cause(bug="heads", says=_MIXED)
    return Cause(bug="heads", says=f"{_MIXED}, or something that depends on positions is added to tokens")


def of_weights_by_position(subject: AttentionSubject, run: Run) -> Cause | None:
    """Return that positions have a part in weights, as those of one token repeated show it; None where they do not.

    Every logit is the same then, so that weights over the keys that may be seen are equal.
    """
    contract = subject.contract
    if contract.rotary_base or contract.alibi_slopes or contract.window or contract.feature_map:
        return None
    plain = plain_case(subject, subject.generator(run.seed))
    one, repeated = _of_one_token(plain)
    weights = weights_of(subject, run, repeated)
    if weights is None or weights.shape[-2:] != (plain.inputs.shape[-2], key_length(plain)):
        return None
    allowed = allowed_in(subject, repeated, 0)
    if not bool((weights > _LEAST).eq(allowed).all()):  # of other keys than the declared ones: another mistake
        return None
    logarithms = weights.clamp_min(_LEAST).log()
    largest = logarithms.where(allowed, torch.tensor(-torch.inf)).amax(dim=-1)
    smallest = logarithms.where(allowed, torch.tensor(torch.inf)).amin(dim=-1)
    if float((largest - smallest).max()) <= _SAME:
        return None
    runs = compared(subject, run, subject.finest_dtype, [one, repeated], bounded=(0, 1))
    alone, many = runs.outputs
    if distance(many, alone.expand_as(many)) > max(runs.bounds):
        return None
    return _declared_nowhere(_cores(subject, run), run)


def _cores(subject: AttentionSubject, run: Run) -> Sequence[Core]:
    try:
        return traces_of(subject, run, subject.finest_dtype).first.cores
    except Settled:
        return ()


def _declared_nowhere(cores: Sequence[Core], run: Run) -> Cause:
    places = (core.location(run.target) for core in cores)
    return Cause(bug="undeclared_positions", says=BIASED, location=next(filter(None, places), None))


def _of_one_token(plain: Case) -> tuple[Case, Case]:
    """Return a case with the first token alone, and with it at every position, of the context and of keys too."""
    first = {name: x[..., :1, :] for name, x in plain.tensors.items() if x.is_floating_point()}
    repeated = {name: x.expand_as(plain.tensors[name]) for name, x in first.items()}
    return plain.replaced("one token", **first), plain.replaced("one token repeated", **repeated)
