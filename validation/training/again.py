"""Steps that are taken again, from the beginning or from a checkpoint, against those of the uninterrupted run."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, judged
from audit.plan import Run
from audit.replies import numbers_of
from audit.report.text import one_line
from audit.results import Comparison
from validation.training.trainee import Trainee

_SAME = "the same operations in the same order on the same machine"
_TWIN = "the run with the same seed"
TWIN_FIX = "draw from torch's, Python's or NumPy's global generator, or from one that is seeded from them"
_NUDGES = 2
_TIMES_SPREAD = 3
_UNITS = 2
_FLOAT32_EPS = 2.0**-23


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
    return Taken(
        checkpoint=checkpoint,
        steps=steps,
        differing_step=_differing(before, losses, checkpoint),
        same_weights=first.digests.get(checkpoint + steps) == digest,
    )


def _differing(before: Sequence[float], losses: Sequence[float], checkpoint: int) -> int | None:
    pairs = enumerate(zip(before, losses, strict=True), start=checkpoint + 1)
    return next((step for step, (first, loss) in pairs if first != loss), None)


def twin_on_gpu(trainee: Trainee, run: Run) -> Judgement:
    """Take the first steps in two processes with deterministic algorithms alone; the same bits must come of it.

    Where an operation has none, the steps are those of the run, and a rounding of every weight is allowed for.
    """
    steps = trainee.settings.compared_steps
    found: list[tuple[list[float], Plain]] = []
    for _ in range(2):
        reply = trainee.call(run, "train_again_exactly", steps=steps)
        run.probe.close()
        lacks = reply.get("lacks")
        if isinstance(lacks, str):
            return _within(
                [_near(trainee, run, 0)], what=_TWIN, fix=TWIN_FIX, because=f"; torch: {one_line(lacks, limit=160)}"
            )
        found.append((numbers_of(reply, "losses"), reply.get("digest")))
    (losses, digest), (others, other_digest) = found
    if len(losses) != steps or len(others) != steps or not isinstance(digest, str):
        raise ProbeFailure("the target's process sent a malformed account of the steps taken again")
    taken = Taken(
        checkpoint=0, steps=steps, differing_step=_differing(losses, others, 0), same_weights=digest == other_digest
    )
    return judge_taken(
        [taken], what=_TWIN, fix=TWIN_FIX, origin="deterministic algorithms in the same order on the same GPU"
    )


def judge_near(trainee: Trainee, run: Run, checkpoints: Sequence[int], *, what: str, fix: str) -> Judgement:
    """Take the steps behind each checkpoint again on a GPU; they stay as near as roundings of the weights do."""
    near = []
    for checkpoint in checkpoints:
        run.tell(f"resuming from step {checkpoint}")
        near.append(_near(trainee, run, checkpoint))
    return _within(near, what=what, fix=fix) if near else error("there is no checkpoint to go on from")


@dataclass(frozen=True, kw_only=True)
class _Near:
    """The step behind a checkpoint whose loss is furthest from the uninterrupted run's, as a share of its bound."""

    checkpoint: int
    step: int
    deviation: float
    bound: float

    @property
    def share(self) -> float:
        return self.deviation / self.bound if math.isfinite(self.deviation) else math.inf


def _near(trainee: Trainee, run: Run, checkpoint: int) -> _Near:
    settings = trainee.settings
    steps = min(settings.compared_steps, settings.steps - checkpoint)
    reply = trainee.call(
        run, "train_again_nudged", steps=steps, folder=trainee.folder, checkpoint=checkpoint, times=_NUDGES
    )
    losses, nudged = numbers_of(reply, "losses"), reply.get("nudged")
    runs = [numbers_of({"losses": each}, "losses") for each in nudged] if isinstance(nudged, list) else []
    if len(runs) != _NUDGES or any(len(each) != steps for each in (losses, *runs)):
        raise ProbeFailure("the target's process sent a malformed account of the steps taken again")
    return nearest(trainee.run_done.losses[checkpoint : checkpoint + steps], losses, runs, checkpoint=checkpoint)


def nearest(
    before: Sequence[float], losses: Sequence[float], nudged: Sequence[Sequence[float]], *, checkpoint: int
) -> _Near:
    """Compare losses with those of the uninterrupted run, step by step.

    The bound of a step is three times the furthest that a rounding of every weight has taken the loss by then, and two
    units of float32 for the loss itself.
    """
    spread, found = 0.0, [_Near(checkpoint=checkpoint, step=checkpoint, deviation=0.0, bound=sys.float_info.min)]
    for index, (first, loss) in enumerate(zip(before, losses, strict=True)):
        spread = max(spread, *(abs(each[index] - loss) for each in nudged))
        bound = _TIMES_SPREAD * spread + _UNITS * _FLOAT32_EPS * abs(first)
        found.append(
            _Near(
                checkpoint=checkpoint,
                step=checkpoint + index + 1,
                deviation=abs(loss - first),
                bound=bound or sys.float_info.min,
            )
        )
    return max(found, key=_rank)


def _rank(near: _Near) -> tuple[float, int]:
    """Put the furthest last, and of those that are where they should be the latest."""
    return near.share, near.step


def _within(near: Sequence[_Near], *, what: str, fix: str, because: str = "") -> Judgement:
    worst = max(near, key=_rank)
    place = f"from the checkpoint of step {worst.checkpoint}" if worst.checkpoint else "from the beginning"
    places = f"{len(near)} place{'s' if len(near) > 1 else ''}"
    return judged(
        Measured(
            value=worst.deviation if math.isfinite(worst.deviation) else sys.float_info.max,
            bound=worst.bound,
            origin=f"3 x the furthest that one rounding of every weight before each step takes the loss by step "
            f"{worst.step} ({_NUDGES} runs), plus 2 roundings of the loss; steps from {places} were compared{because}",
            unit=f"difference of the loss at step {worst.step}",
        ),
        otherwise=f"{what}, {place}, has another loss at step {worst.step}",
        fix=fix,
    )


def judge_taken(taken: Sequence[Taken], *, what: str, fix: str, origin: str = _SAME) -> Judgement:
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
            origin=f"{origin}; {total} steps from {len(taken)} place{'s' if len(taken) > 1 else ''} were compared",
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
