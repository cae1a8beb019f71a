"""What the properties of a trace share: they count the attention computations that contradict something."""

from collections.abc import Sequence

from audit.attention.traced import Core
from audit.judgement import Judgement, Measured, judged
from audit.plan import Run
from audit.results import Comparison

_UNIT = "attention computations"
_MAX_LISTED = 4


def judge_cores(
    wrong: Sequence[tuple[Core, str]], told: Sequence[Core], run: Run, *, origin: str, fix: str, facts: str = ""
) -> Judgement:
    """Fail where any of the computations that were told is wrong, each with its reason; one reason once.

    Args:
        wrong: those that contradict, with the reason.
        told: all that could be judged; at least one.
        run: for the target.
        origin: what is contradicted.
        fix: what to do.
        facts: what is unusual and no defect.
    """
    assert told
    reasons = list(dict.fromkeys(f"{core.where}: {reason}" for core, reason in wrong))
    more = f"; {len(reasons) - _MAX_LISTED} more" if len(reasons) > _MAX_LISTED else ""
    measured = Measured(
        value=len(wrong), bound=0, comparison=Comparison.EQUAL, origin=origin, unit=f"of {len(told)} {_UNIT}"
    )
    judgement = judged(
        measured,
        otherwise="; ".join(reasons[:_MAX_LISTED]) + more,
        fix=fix,
        location=wrong[0][0].location(run.target) if wrong else None,
    )
    if facts and not wrong:
        return Judgement(outcome=judgement.outcome, reason=facts, measured=measured)
    return judgement
