"""What learns is in the optimizer, and what is declared frozen is not."""

import fnmatch
from collections.abc import Sequence

from audit.judgement import Judgement, Measured, error, judged
from audit.near import hint
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from validation.training.checks import run as run_check
from validation.training.trainee import TrainedParameter, Trainee

CHECK = Check(
    id="train.optimized",
    title="The optimizer has what learns, and nothing that is frozen",
    proves="In an entry of TRAINING that gives its `optimizer` or says what is `frozen`, at the end of the run every "
    "parameter whose requires_grad is True is in a group of the optimizer but those that are declared frozen, of which "
    "none is; where `frozen` is declared, every other parameter learns.",
    defect="an optimizer that is given the parameters of the last layer alone",
    severity=Severity.MAJOR,
)
REQUIRES = (run_check.CHECK.id,)
_MOST_NAMED = 8
_MOST_LETTERS = 120  # of a name that is not there


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Compare what learns with what the optimizer has."""
    patterns, parameters = trainee.entry.frozen, trainee.run_done.parameters
    if not parameters:
        return error("the model has no parameter that could learn")
    names = [name for each in parameters for name in each.names]
    for pattern in patterns or []:
        if not any(_is_of(name, pattern) for name in names):
            return error(
                f"{trainee.declared_as} of {trainee.specs}: in 'frozen', no parameter of the model is called "
                f"{pattern[:_MOST_LETTERS]!r}; {hint(pattern, names, otherwise=f'there are {_listed(names)}')}",
                fix="correct 'frozen' of this entry in the specs",
            )
    frozen = [each for each in parameters if _matches(each, patterns or [])]
    others = [each for each in parameters if each not in frozen]
    wrong = {
        "learn and are in no group of the optimizer": [each for each in others if each.learns and not each.optimized],
        "are declared frozen, learn, and are in a group of the optimizer": [
            each for each in frozen if each.learns and each.optimized
        ],
        "are not declared frozen, and do not learn": [
            each for each in others if patterns is not None and not each.learns
        ],
    }
    return judged(
        Measured(
            value=sum(map(len, wrong.values())),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="requires_grad says which parameters learn, and what is in no group of the optimizer does not; in "
            f"its groups: {sum(each.optimized for each in parameters)} of {len(parameters)} parameters",
            unit="parameters that are not where they should be",
        ),
        otherwise="; ".join(
            f"{_listed([each.names[0] for each in found])} {what}" for what, found in wrong.items() if found
        ),
        fix="give the optimizer every parameter that learns, once the model is whole, and declare in `frozen` what it "
        "is not to train",
    )


def _matches(parameter: TrainedParameter, patterns: Sequence[str]) -> bool:
    return any(_is_of(name, pattern) for name in parameter.names for pattern in patterns)


def _is_of(name: str, pattern: str) -> bool:
    """Whether a pattern is of a name; `*` stands for any text in it, and all else for itself."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
