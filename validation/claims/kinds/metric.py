"""A figure of the target's own, for each seed that is claimed."""

from audit.claims import Metric, finite
from audit.judgement import Judgement, failed
from audit.replies import number_of
from audit.results import Check, Series, Severity
from validation.claims.call import Measuring
from validation.claims.intervals import range_of, verdict
from validation.claims.kinds.figures import of_command

CHECK = Check(
    id="claims.metric",
    title="The published figure is reached",
    proves="The figure that the target computes satisfies the published bound for every seed that is claimed.",
    defect="a figure that no run has given",
    severity=Severity.MAJOR,
)


def judge(measuring: Measuring, claim: Metric) -> Judgement:
    """Take the figure for each seed; the claim is refuted where all miss the bound, undecided where some do."""
    seeds = claim.seeds or (measuring.run.seed,)
    values = []
    for seed in seeds:
        value = finite(_figure(measuring, claim, seed))
        if value is None:
            return failed(f"refuted: for seed {seed} the figure is not finite", location=measuring.place)
        values.append(value)
    named = f"seed {seeds[0]}" if len(seeds) == 1 else f"the figures of {len(seeds)} seeds"
    series = Series(name="figure", x_name="seed", x=tuple(float(seed) for seed in seeds), y=tuple(values))
    unit = claim.figure or "as measured"
    return verdict(claim, range_of(values, named), unit=unit, place=measuring.place, series=(series,))


def _figure(measuring: Measuring, claim: Metric, seed: int) -> float:
    if claim.measure is not None:
        return number_of(measuring.call("claim_figure", measure=claim.measure, seed=seed), "value")
    return number_of(of_command(measuring, claim, samples=None, seed=seed), "value")
