"""A contract whose sizes are not those of the module: an error of every check, and no failure of the module."""

import re
from collections.abc import Iterator
from dataclasses import replace

from audit.attention.answers import Settled
from audit.attention.cases import plain_case
from audit.attention.subject import AttentionSubject, Built
from audit.gateway import ProbeFailure, TargetRaised
from audit.judgement import Judgement, error
from audit.plan import Run

_MOST_WIDTHS = 8  # that are tried in the place of the declared one
# What torch says of operands that do not fit.
_OF_SIZES = re.compile(
    r"raised \w*Error: .*(shape|size|dimension|broadcast|einsum|expected input|must match)", re.IGNORECASE | re.DOTALL
)


def unfitting(subject: AttentionSubject, run: Run) -> Judgement | None:
    """Return what the weights say against the declared sizes, before anything is called; None where they fit.

    Asked once for each subject. A module that cannot be built is told by every check itself.
    """
    if not subject.is_declared or subject.is_function or subject.contract.projections is None:
        return None
    if subject.built.fits is None:
        subject.built.fits = True
        try:
            subject.state(run, subject.finest_dtype)
        except Settled as settled:
            subject.built.fits = settled.judgement
        except (TargetRaised, ProbeFailure):
            return None
    return None if subject.built.fits is True else subject.built.fits


def of_width(judgement: Judgement, subject: AttentionSubject, run: Run) -> Judgement:
    """Return the judgement, or that the declared width is wrong, where projections do not tell and every call raises.

    Whose fault that is shows where the module takes inputs of another width.
    """
    if not subject.is_declared or subject.is_function or subject.contract.projections is not None:
        return judgement
    if judgement.measured is not None or not _OF_SIZES.search(judgement.reason or ""):
        return judgement
    if subject.built.width_misfits is None:
        subject.built.width_misfits = _width_misfits(subject, run)
    if not subject.built.width_misfits:
        return judgement
    if "may be" not in subject.built.width_misfits:
        return error(subject.built.width_misfits, fix="declare the `embed_dim` that the module takes")
    return replace(judgement, reason=f"{judgement.reason}; {subject.built.width_misfits}")


def _width_misfits(subject: AttentionSubject, run: Run) -> str:
    """Return what every call shows of the declared width; empty where some call is answered."""
    declared = subject.contract.embed_dim
    if declared is None or _takes(subject, run, declared):
        return ""
    taken = [width for width in _widths(subject, run) if width != declared and _takes(subject, run, width)]
    if taken:
        widths = " or ".join(map(str, taken))
        return (
            f"the contract does not fit the module: it declares embed_dim = {declared}, and an input of that width "
            f"raises even with one token, while one of width {widths} is taken"
        )
    return f"an input of one token raises too, so that the contract's embed_dim = {declared} may be wrong"


def _takes(subject: AttentionSubject, run: Run, width: int) -> bool:
    contract = subject.contract.model_copy(update={"embed_dim": width})
    other = replace(subject, contract=contract, built=Built())
    try:
        other.forward(run, other.finest_dtype, [plain_case(other, other.generator(run.seed), length=1)])
    except (TargetRaised, ProbeFailure, Settled):
        return False
    return True


def _widths(subject: AttentionSubject, run: Run) -> Iterator[int]:
    """Yield the widths of what the module's weights are multiplied with."""
    try:
        state = subject.state(run, subject.finest_dtype)
    except (TargetRaised, ProbeFailure, Settled):
        return
    yield from sorted({weight.shape[-1] for weight in state.values() if weight.dim() >= 1})[:_MOST_WIDTHS]
