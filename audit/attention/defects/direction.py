"""On which side of itself a token looks, measured by replacing one key after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
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
_INVERTED = "each token sees {later} and no earlier one: the causal mask hides what it is to keep"
_UNDECLARED_CAUSAL = "it is causal although declared not to be: each token sees every earlier one and no later one"


class Side(Enum):
    """Where the keys lie that move the output of a query, beside its own."""

    EARLIER = "every earlier key, and no later one"
    LATER = "later keys, and no earlier one"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """On which side queries see keys, beside their own, and how many of them; None where they see all on that side."""

    side: Side
    within: int | None = None

    @property
    def inverted(self) -> str:
        """What is said of tokens that see later ones."""
        later = "every later one" if self.within is None else f"the next {self.within}, as its window lets it,"
        return _INVERTED.format(later="the next one" if self.within == 1 else later)


def side_of(subject: AttentionSubject, run: Run) -> Seen | None:
    """Return on which side all queries see keys, and none on the other; None where it is neither.

    Of later keys that may be as many as a window lets them see; of earlier ones all, for fewer are another mistake.

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
        return Seen(side=Side.EARLIER)
    if inner[earlier].any() or not inner[later].any():
        return None
    length = len(seen)
    apart = torch.arange(length) - torch.arange(length)[:, None]
    width = int(apart[1:-1][inner].max())
    inside = (apart > 0) & (apart <= width)
    if not inner[inside[1:-1]].all():
        return None
    # The second query has as many later keys as any that is looked at.
    return Seen(side=Side.LATER, within=None if width == length - 2 else width)


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
        seen = side_of(subject, run)
    except Settled:
        return None
    if "causality" in failed:
        is_inverted = seen is not None and seen.side is Side.LATER
        return Cause(bug="causal_inverted", says=seen.inverted) if seen and is_inverted else None
    if subject.is_function or subject.contract.is_causal is not False or seen is None:
        return None
    if seen.side is Side.LATER:
        return Cause(bug="causal_inverted", says=f"{seen.inverted}, and it is declared not to be causal")
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
