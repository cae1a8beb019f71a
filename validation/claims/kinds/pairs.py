"""What claims on two callables have in common: they must compute the same before anything is measured."""

from audit.claims import PairClaim
from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, error
from audit.raised import describe_raised, judge_raised
from validation.claims.agreement import problem_with
from validation.claims.call import Measuring


def arguments_of(claim: PairClaim, measuring: Measuring) -> dict[str, Plain]:
    """Return what every procedure on the two callables takes."""
    return {
        "baseline": claim.baseline,
        "candidate": claim.candidate,
        "inputs": claim.inputs,
        "seed": measuring.run.seed,
        "device": measuring.device,
    }


def compared(measuring: Measuring, claim: PairClaim) -> Judgement | None:
    """Return why nothing is measured, for the two do not compute the same; None where they do."""
    reply = measuring.call("claim_outputs", exact=claim.exact, **arguments_of(claim, measuring))
    if reply.get("same_inputs") is not True:
        return error("inputs made from one seed differ: the two cannot be given the same", location=measuring.place)
    return problem_with(reply, measuring.place, when="before anything is measured")


def of_raised(raised: TargetRaised, measuring: Measuring, claim: PairClaim) -> Judgement:
    """Return the judgement on an exception: the candidate's refutes the claim, another's leaves it unmeasured."""
    target = measuring.run.target
    if raised.phase == "exact" and claim.exact is None:
        return error(
            f"the baseline does not run in float64, which its exactness is told by: {describe_raised(raised, target)}",
            location=measuring.place,
            fix="name a callable that computes the same from inputs in float64 as `exact`",
        )
    return judge_raised(raised, target, phases=("candidate",))
