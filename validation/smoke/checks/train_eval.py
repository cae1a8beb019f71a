"""Train mode differs from eval mode where something says so, and nowhere else."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of, number_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import determinism
from validation.smoke.compare import difference, unusable
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.train_eval",
    title="Train and eval differ exactly where declared",
    proves="Train mode is random where the specs, or a dropout above zero, say so, and not otherwise; and where it is "
    "not, train and eval give the same output, unless a layer takes statistics of its batch or learns from it, or the "
    "specs declare that they return something else, which they do then.",
    defect="a dropout whose probability is above zero and that is never applied",
    severity=Severity.MAJOR,
)
REQUIRES = (determinism.CHECK.id,)
_MOST_NAMED = 4
_SURE = 0.999  # how likely randomness that is there must be to show, before its absence is a defect


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare eval mode, train mode, and train mode under other seeds."""
    try:
        reply = model.call_on_batch(run, "model_modes")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward",))
    evaluated, train = tensors_of(reply, "eval"), tensors_of(reply, "train")
    if problem := unusable(evaluated):
        return error(f"no reference to compare with: {problem}")
    dropouts = names_of(reply, "dropouts")
    layers = [*names_of(reply, "statistics"), *names_of(reply, "learning")]
    layers = list(dict.fromkeys(layers))
    is_random = difference(train, tensors_of(reply, "other")) > 0
    differs = difference(evaluated, train) > 0
    declared = model.entry.random_in_training
    expected = bool(dropouts) if declared is None else declared
    source = f"dropouts above zero: {_named(dropouts)}"
    source = source if declared is None else f"the specs declare random_in_training = {declared}"
    shows = number_of(reply, "shows")
    if declared is None and expected and not is_random and 0 < shows < _SURE:
        return error(
            f"its dropouts are too rare to show: one in {1 / shows:.3g} runs of this check would see any; {source}",
            fix="declare `random_in_training` in the specs",
        )
    wrong = None
    if is_random and not expected:
        wrong = f"train passes under other seeds differ, and nothing says so; {source}"
    elif expected and not is_random:
        wrong = f"train passes under other seeds agree to the last bit, and they should not; {source}"
    elif model.entry.differs_in_training and not differs:
        wrong = "train and eval give the same output, and the specs declare differs_in_training = True"
    elif differs and not (is_random or layers or model.entry.differs_in_training):
        wrong = "train and eval give different outputs, and no layer is random or takes statistics of its batch"
    return judged(
        Measured(
            value=int(wrong is not None),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"{source}; train mode is {'' if is_random else 'not '}random and gives "
            f"{'another output than' if differs else 'the output of'} eval mode; layers that take statistics of the "
            f"batch or learn from it: {_named(layers)}",
            unit="differences between the modes that are not declared, or declared and absent",
        ),
        otherwise=wrong or "",
        fix="declare `random_in_training` in the specs, or `differs_in_training` where train mode returns something "
        "else on purpose, guard what is random with self.training, or apply the dropout",
    )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more or "none"
