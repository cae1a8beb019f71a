"""Steps that are taken again, from the beginning or from a checkpoint, against those of the uninterrupted run."""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.gateway import ProbeFailure
from audit.judgement import Judgement, Measured, error, judged
from audit.plan import Run
from audit.replies import numbers_of
from audit.results import Comparison
from validation.training.trainee import Trainee


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Steps behind a checkpoint.

    Attributes:
        checkpoint: after which step it is; 0 for the beginning.
        steps: how many were taken.
        differing_step: the first whose loss differs; None where all are the same.
        same_weights: whether the weights are the same afterwards.
    """

    checkpoint: int
    steps: int
    differing_step: int | None
    same_weights: bool

    @property
    def is_same(self) -> bool:
        """Whether nothing differs in a bit."""
        return self.differing_step is None and self.same_weights


def taken_again(trainee: Trainee, run: Run, checkpoint: int) -> Taken:
    """Take the steps behind a checkpoint again; raises what the call raises."""
    first, settings = trainee.run_done, trainee.settings
    steps = min(settings.compared_steps, settings.steps - checkpoint)
    reply = trainee.call(run, "train_again", steps=steps, folder=trainee.folder, checkpoint=checkpoint)
    losses, digest = numbers_of(reply, "losses"), reply.get("digest")
    if len(losses) != steps or not isinstance(digest, str):
        raise ProbeFailure("the target's process sent a malformed account of the steps taken again")
    before = first.losses[checkpoint : checkpoint + steps]
    differing = next((index for index, pair in enumerate(zip(before, losses, strict=True)) if pair[0] != pair[1]), None)
    return Taken(
        checkpoint=checkpoint,
        steps=steps,
        differing_step=None if differing is None else checkpoint + differing + 1,
        same_weights=first.digests.get(checkpoint + steps) == digest,
    )


def judge_taken(taken: Sequence[Taken], *, what: str, fix: str) -> Judgement:
    """Judge whether all of them are the same to the last bit."""
    if not taken:
        return error("there is no checkpoint to go on from")
    wrong = [each for each in taken if not each.is_same]
    total = sum(each.steps for each in taken)
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"the same operations in the same order on the same machine; {total} steps from "
            f"{len(taken)} place{'s' if len(taken) > 1 else ''} were compared",
            unit="places from which it goes on otherwise",
        ),
        otherwise=_told(wrong, what),
        fix=fix,
    )


def _told(wrong: Sequence[Taken], what: str) -> str:
    if not wrong:
        return ""
    first = wrong[0]
    place = f"from the checkpoint of step {first.checkpoint}" if first.checkpoint else "from the beginning"
    if first.differing_step is None:
        return f"{what} has other weights after {first.steps} steps {place}"
    return f"{what}, {place}, has another loss at step {first.differing_step}"
