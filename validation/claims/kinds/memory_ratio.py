"""Which share of another's memory a callable takes."""

from audit.claims import MemoryRatio
from audit.gateway import ProbeFailure, TargetRaised
from audit.judgement import Judgement, error
from audit.results import Check, Series, Severity
from validation.claims.call import Measuring, numbers_of
from validation.claims.intervals import FEWEST, range_of, verdict
from validation.claims.kinds.pairs import arguments_of, compared, of_raised

CHECK = Check(
    id="claims.memory_ratio",
    title="What is said to need less memory needs as much less",
    proves="The candidate computes what the baseline computes, and the ratio of the bytes that torch has allocated at "
    "most during a call satisfies the published bound on every one of several inputs.",
    defect="a path without the score matrix that builds it after all",
    severity=Severity.MAJOR,
)


def judge(measuring: Measuring, claim: MemoryRatio) -> Judgement:
    """Compare the two, then take their peaks on as many inputs as an interval needs."""
    given = arguments_of(claim, measuring)
    try:
        if problem := compared(measuring, claim):
            return problem
        reply = measuring.call("claim_peaks", pairs=FEWEST, **given)
    except TargetRaised as raised:
        return of_raised(raised, measuring, claim)
    before, after = numbers_of(reply, "baseline"), numbers_of(reply, "candidate")
    if len(before) != FEWEST or len(after) != FEWEST:
        raise ProbeFailure("the target's process sent peaks that are none")
    if min(before) <= 0 or min(after) <= 0:
        return error("no memory of torch's was seen, so there is no ratio", location=measuring.place)
    ratios = [new / old for new, old in zip(after, before, strict=True)]
    number = tuple(float(pair) for pair in range(FEWEST))
    return verdict(
        claim,
        range_of(ratios, f"the ratios on {FEWEST} inputs"),
        unit="of the baseline's peak of torch's allocations",
        place=measuring.place,
        series=(
            Series(name="baseline", unit="bytes", x_name="pair", x=number, y=tuple(before)),
            Series(name="candidate", unit="bytes", x_name="pair", x=number, y=tuple(after)),
        ),
    )
