"""What is said where the same call twice gives two outputs: once; whatever compares outputs of two calls waits.

What such calls differ by would be taken for rounding, and no comparison of two outputs tells their noise from what it
looks for: it neither passes nor fails then.
"""

import torch

from audit.attention.answers import Settled
from audit.attention.cases import plain_case
from audit.attention.properties import low_precision, repeatable
from audit.attention.properties.judging import SAME_OUTPUT, TWO_RUNS_BOUND
from audit.attention.rounding import BOUND
from audit.attention.subject import AttentionSubject
from audit.gateway import ProbeFailure, TargetRaised
from audit.judgement import Judgement, skipped
from audit.plan import Run
from audit.results import Outcome

# The beginnings of the bounds on how far two calls may be apart, up to the dtype that is filled in.
_OF_TWO_CALLS = tuple(bound.partition("{")[0] for bound in (BOUND, TWO_RUNS_BOUND, low_precision.BOUND))
# What is concluded of outputs that were as near to each other as the bound, or farther than it.
_WORDS = (
    SAME_OUTPUT,
    "changed no output",
    "changes no output",
    "have the same output",
    "observed: later tokens",
    "observed: their order matters",
)


def waiting(check: str, judgement: Judgement, subject: AttentionSubject, run: Run) -> Judgement:
    """Return a judgement that compared two calls as waiting on `attention.repeatable`, where that fails on two calls.

    Args:
        check: the id of what was judged.
        judgement: of it.
        subject: what was judged; it remembers whether two calls agree.
        run: the target's process, which is called twice to see that.
    """
    if check == repeatable.CHECK.id or not _compared(judgement):
        return judgement
    if subject.built.repeats is None:
        subject.built.repeats = _repeats(subject, run)
    if subject.built.repeats:
        return judgement
    return skipped(
        f"waits on {repeatable.CHECK.id}: the same call twice differs by more than rounding, so that nothing can be "
        "told from outputs of two calls"
    )


def _compared(judgement: Judgement) -> bool:
    if judgement.measured is not None:
        return any(bound in judgement.measured.origin for bound in _OF_TWO_CALLS)
    told = judgement.outcome in (Outcome.ERROR, Outcome.NOT_APPLICABLE)
    return told and any(words in (judgement.reason or "") for words in _WORDS)


def _repeats(subject: AttentionSubject, run: Run) -> bool:
    """Whether two calls on one input agree; the property itself is asked only where they are not the same bits."""
    case = plain_case(subject, subject.generator(run.seed))
    try:
        first, again = subject.forward(run, subject.finest_dtype, [case, case], opened=True).outputs
        if torch.equal(first, again):
            return True
        judgement = repeatable.judge(subject, run)
    except (ProbeFailure, Settled, TargetRaised):
        return True  # what cannot be called tells nothing of those calls that were answered
    return not (judgement.outcome is Outcome.FAILED and repeatable.AGAIN in (judgement.reason or ""))
