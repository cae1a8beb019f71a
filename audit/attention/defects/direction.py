"""On which side of itself a token looks, measured by replacing one key after the other."""

from collections.abc import Mapping
from enum import Enum

import torch

from audit.attention.answers import Settled
from audit.attention.cases import plain_case
from audit.attention.defects.cause import Cause
from audit.attention.properties.influence import cases_of_each_key
from audit.attention.subject import AttentionSubject
from audit.attention.traced import Core, cores_of, traces_of
from audit.plan import Run
from audit.results import Result

SHOWN_BY = ("causality", "permutation", "oracle")  # the first says most
ROTATED = "queries and keys are rotated by their positions, which the contract does not declare"
_INVERTED = "each token sees every later one and no earlier one: the causal mask hides what it is to keep"
_UNDECLARED_CAUSAL = "it is causal although declared not to be: each token sees every earlier one and no later one"


class Side(Enum):
    """Where the keys lie that move the output of a query, beside its own."""

    EARLIER = "every earlier key, and no later one"
    LATER = "every later key, and no earlier one"


def side_of(subject: AttentionSubject, run: Run) -> Side | None:
    """Return on which side all queries see all keys, and none on the other; None where it is neither.

    The first and the last query are left out: a mask may leave either without a key, and what it then gives is NaN,
    zeros, or the mean of all values.

    Raises:
        Settled, TargetRaised: the calls give nothing that can be compared.
    """
    if subject.contract.context_dim is not None:
        return None
    generator = subject.generator(run.seed)
    cases = cases_of_each_key(plain_case(subject, generator), generator)
    first, *moved = (
        torch.nan_to_num(output, nan=0.0, posinf=0.0, neginf=0.0)
        for output in subject.forward(run, subject.finest_dtype, cases, opened=True).outputs
    )
    # One sample and one head that moves is enough: a dead head does not make a key unseen.
    seen = torch.stack([(each != first).any(dim=-1).flatten(0, -2).any(dim=0) for each in moved], dim=-1)
    inner = seen[1:-1]
    earlier = torch.ones_like(seen).tril(diagonal=-1)[1:-1]
    later = torch.ones_like(seen).triu(diagonal=1)[1:-1]
    if inner[earlier].all() and not inner[later].any():
        return Side.EARLIER
    if inner[later].all() and not inner[earlier].any():
        return Side.LATER
    return None


def _rotated(subject: AttentionSubject, run: Run) -> Core | None:
    """Return the attention whose queries and keys are rotated where no rotation is declared."""
    if subject.contract.rotary_base is not None:
        return None
    try:
        cores = cores_of(traces_of(subject, run, subject.finest_dtype).first)
    except Settled:
        return None
    return next((core for core in cores if core.rotated), None)


def direction_cause(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause | None:
    """Return the cause where tokens look to one side, and it is not the declared one; None where that is not so.

    Whatever fails beside it may come from it, so that it is looked for before any other cause.
    """
    if not set(SHOWN_BY) & set(failed):
        return None
    try:
        side = side_of(subject, run)
    except Settled:
        return None
    if "causality" in failed:
        return Cause(bug="causal_inverted", says=_INVERTED) if side is Side.LATER else None
    if subject.is_function or subject.contract.is_causal is not False or side is None:
        return None
    if side is Side.LATER:
        return Cause(bug="causal_inverted", says=f"{_INVERTED}, and it is declared not to be causal")
    rotated = _rotated(subject, run)
    if rotated is not None:  # two things that are not declared: the positions say more of what else fails
        says = f"{ROTATED}; {_UNDECLARED_CAUSAL}"
        return Cause(bug="undeclared_positions", says=says, location=rotated.location(run.target))
    return Cause(
        bug="causality",
        says=_UNDECLARED_CAUSAL,
        contract=subject.contract.model_copy(update={"is_causal": True}),
        is_exact=False,
    )
