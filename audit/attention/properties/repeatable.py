"""In eval mode one input has one output, dropout or not."""

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import plain_case
from audit.attention.properties.judging import call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import AttentionSubject
from audit.gateway import TargetRaised
from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.repeatable",
    title="Two calls in eval mode agree",
    proves="In eval mode a call gives the same output again, also behind a call on another input and when the "
    "probability of every dropout is above zero.",
    defect="dropout that is active in eval mode",
    severity=Severity.MAJOR,
)

AGAIN = "the same call again"
BEHIND = "the same call behind one on another input"
_PROBABILITY = 0.5


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Call twice as it was built, twice with dropout set, and once more behind a call on another input."""
    generator = subject.generator(run.seed)
    case, other = plain_case(subject, generator), plain_case(subject, generator)
    again = case.replaced(AGAIN)
    dropped = case.under("with the probability of its dropout above zero", dropout=_PROBABILITY)
    behind = case.replaced(BEHIND)
    dtype = subject.finest_dtype
    try:
        runs = compared(subject, run, dtype, [case, again, dropped, dropped, other, behind], afresh=True)
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    first, second, third, fourth, _, last = runs.outputs
    if trouble := no_reference(first, runs.bound, may_be_constant=True):
        return trouble
    errors = {
        again.name: distance(second, first),
        dropped.name: max(distance(third, first), distance(fourth, third)),
        behind.name: distance(last, first),
    }
    repeats = max(errors[again.name], errors[behind.name]) <= runs.bound
    return judge_deviations(
        [(dtype, Deviation(case=name, error=error, bound=runs.bound)) for name, error in errors.items()],
        origin=bound_origin(subject),
        otherwise="two calls in eval mode differ: {case}" + (", so dropout is active in eval mode" if repeats else ""),
        fix="pass `dropout_p=self.dropout if self.training else 0.0`"
        if repeats
        else "draw no random numbers in eval mode, and keep nothing of a call for the next",
    )
