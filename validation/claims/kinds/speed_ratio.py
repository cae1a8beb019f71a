"""How many times as fast as another a callable is."""

from collections.abc import Mapping

from audit.claims import SpeedRatio
from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, error
from audit.results import Check, Series, Severity
from validation.claims.agreement import problem_with
from validation.claims.call import Measuring, numbers_of
from validation.claims.intervals import FEWEST, ratio_of_medians, verdict
from validation.claims.kinds.pairs import arguments_of, compared, of_raised

CHECK = Check(
    id="claims.speed_ratio",
    title="What is said to be faster is as much faster",
    proves="The candidate computes what the baseline computes, before it is timed and while it is, and the ratio of "
    "the median times, with its confidence interval, satisfies the published bound; the two were timed in turn, in one "
    "process, each call with inputs of its own.",
    defect="a fast path that calls the slow one",
    severity=Severity.MAJOR,
)
_TIMED_SHARE = 0.7  # of the claim's time; the rest is for warming up and for comparing what was timed last


def judge(measuring: Measuring, claim: SpeedRatio) -> Judgement:
    """Compare the two, time them, and compare what they gave while they were timed."""
    given = arguments_of(claim, measuring)
    try:
        if problem := compared(measuring, claim):
            return problem
        budget_s = _TIMED_SHARE * max(0.0, measuring.left_s)
        reply = measuring.call("claim_times", exact=claim.exact, pairs=claim.pairs, budget_s=budget_s, **given)
    except TargetRaised as raised:
        return of_raised(raised, measuring, claim)
    slow, fast = numbers_of(reply, "baseline"), numbers_of(reply, "candidate")
    if len(slow) != len(fast) or min(*slow, *fast, 1.0) <= 0:
        raise ProbeFailure("the target's process sent times that are none")
    if len(slow) < FEWEST:
        reason = f"undecided: needs more samples: {len(slow)} pairs in {budget_s:.0f} s, and {FEWEST} is the least"
        return error(reason, location=measuring.place, fix="give the claim a larger timeout_s")
    if problem := problem_with(_last(reply), measuring.place, when="on the inputs that were timed last"):
        return problem
    number = tuple(float(pair) for pair in range(len(slow)))
    return verdict(
        claim,
        ratio_of_medians(slow, fast, seed=measuring.run.seed),
        unit="times as fast",
        place=measuring.place,
        series=(
            Series(name="baseline", unit="s", x_name="pair", x=number, y=tuple(slow)),
            Series(name="candidate", unit="s", x_name="pair", x=number, y=tuple(fast)),
        ),
    )


def _last(reply: Mapping[str, Plain]) -> Mapping[str, Plain]:
    last = reply.get("last")
    if not isinstance(last, dict):
        raise ProbeFailure("the target's process sent times without what was computed")
    return last
