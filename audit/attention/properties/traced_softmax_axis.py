"""The softmax runs over the keys: the axis over which the values are added up."""

from audit.attention.properties.traced_judging import judge_cores
from audit.attention.subject import AttentionSubject
from audit.attention.traced import cores_of, traces_of, untold
from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.softmax_axis",
    title="The softmax runs over the keys",
    proves="The axis of the softmax is the one over which the values are added up, so that the weights of a query sum "
    "to 1; followed element by element from the product of queries and keys.",
    defect="a softmax over the queries",
    severity=Severity.CRITICAL,
)
_WRONG = ("queries", "heads", "batch")


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Look at the axis of every softmax."""
    cores = cores_of(traces_of(subject, run, subject.finest_dtype).first)
    told = [core for core in cores if core.softmax_axis == "keys" or core.softmax_axis in _WRONG]
    if not told:
        listed = ", ".join(dict.fromkeys(core.softmax_axis or "unknown" for core in cores))
        return untold(subject, f"the axis of the softmax was not told: {listed}")
    turned = [core for core in told if core.softmax_axis in _WRONG]
    # Slots compete for inputs in slot attention: its softmax runs over the queries, and a division by the sum over
    # the keys follows.
    wrong = [(core, f"the softmax runs over the {core.softmax_axis}") for core in turned if not core.renormalised]
    deliberate = [core for core in turned if core.renormalised]
    facts = (
        f"{deliberate[0].where}: softmax over the {deliberate[0].softmax_axis}, normalised anew" if deliberate else ""
    )
    return judge_cores(
        wrong,
        told,
        run,
        origin="the weights with which values are added up must sum to 1 over the keys",
        fix="take the softmax over the axis of the keys, which the product with the values adds up",
        facts=facts,
    )
