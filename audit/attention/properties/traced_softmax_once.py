"""The weights go through one softmax, not through two in a row."""

from audit.attention.properties.traced_judging import judge_cores
from audit.attention.subject import AttentionSubject
from audit.attention.traced import cores_of, traces_of, untold
from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.softmax_once",
    title="The softmax is taken once",
    proves="Between the product of queries and keys and that with the values stands one softmax; a second, of weights "
    "between 0 and 1, would make them nearly equal.",
    defect="a softmax of weights that have gone through one",
    severity=Severity.CRITICAL,
)


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Count the softmaxes on the way to the values."""
    cores = cores_of(traces_of(subject, run, subject.finest_dtype).first)
    told = [core for core in cores if core.softmaxes is not None]
    if not told:
        return untold(subject, "the way from the scores to the values was not followed")
    twice = [core for core in told if core.softmaxes and core.softmaxes > 1]
    wrong = [(core, f"{core.softmaxes} softmaxes in a row") for core in twice if not core.chosen_between]
    others = [core for core in twice if core.chosen_between]
    return judge_cores(
        wrong,
        told,
        run,
        origin="a second softmax of the same weights flattens them to between 1/n and e/n",
        fix="leave one of them out",
        facts=f"{others[0].where}: {others[0].softmaxes} softmaxes with other operations between" if others else "",
    )
