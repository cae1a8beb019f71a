"""Which share of samples is right."""

from audit.claims import Accuracy
from audit.gateway import ProbeFailure
from audit.judgement import Judgement, error
from audit.replies import number_of
from audit.results import Check, Severity
from validation.claims.call import Measuring
from validation.claims.intervals import verdict, wilson
from validation.claims.kinds.figures import of_command

CHECK = Check(
    id="claims.accuracy",
    title="The published accuracy is reached",
    proves="The share of samples that the target counts as right, with Wilson's interval for as many samples, "
    "satisfies the published bound.",
    defect="a model that is worse than its README",
    severity=Severity.MAJOR,
)
_ROUNDING = 1e-6  # of a count of right samples that a share in float64 is multiplied back to


def judge(measuring: Measuring, claim: Accuracy) -> Judgement:
    """Count what is right, or take the target's own count."""
    seed = measuring.run.seed
    if claim.measure is not None:
        reply = measuring.call("claim_outcomes", measure=claim.measure, seed=seed)
        counted, samples = number_of(reply, "right"), number_of(reply, "samples")
    else:
        reply = of_command(measuring, claim, samples=claim.samples, seed=seed)
        samples = number_of(reply, "samples")
        counted = number_of(reply, "value") * samples
    if samples == 0:
        return error("no sample was judged, so there is no accuracy", location=measuring.place)
    if not (1 <= samples < 2**53 and samples == int(samples) and -_ROUNDING <= counted <= samples + _ROUNDING):
        raise ProbeFailure(f"the target's process sent {counted:g} right of {samples:g} samples")
    right = round(counted)
    if abs(counted - right) > _ROUNDING * max(1.0, samples / 1e6):
        reason = f"{claim.figure} times {claim.samples} is {counted:g}, which is no number of samples"
        return error(reason, location=measuring.place)
    return verdict(claim, wilson(right, int(samples)), unit="of the samples right", place=measuring.place)
