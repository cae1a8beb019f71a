"""How long the training runs are."""

import math
from dataclasses import dataclass

STEPS = 1000
CHECKPOINT_EVERY = 100
VALIDATE_EVERY = 200
LIMIT_S = 600.0
KILLS = 12

COMMAND_STEPS = (
    20  # of the target's own command: what is judged there is its checkpoints, of which each run writes four
)
COMMAND_CHECKPOINT_EVERY = 5
COMPARED_STEPS = 20  # behind a checkpoint: equal weights there are equal for ever
RANKS_STEPS = 5


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What the options were set to.

    Attributes:
        steps: of each run.
        checkpoint_every: steps between checkpoints; None means 100, or a quarter of the steps where that is less.
        validate_every: steps between measurements on held-out batches.
        limit_s: seconds after which a run begins no further step.
        kills: of a run of the target's own command.
        brief: whether entries of MODELS are trained only where TRAINING has none, and the target's own command is run,
            but neither interrupted nor harmed.
    """

    steps: int = STEPS
    checkpoint_every: int | None = None
    validate_every: int = VALIDATE_EVERY
    limit_s: float = LIMIT_S
    kills: int = KILLS
    brief: bool = False

    @property
    def interval(self) -> int:
        """Steps between checkpoints."""
        return self.checkpoint_every or min(CHECKPOINT_EVERY, math.ceil(self.steps / 4))

    @property
    def compared_steps(self) -> int:
        """Steps behind each checkpoint that are taken again."""
        return min(COMPARED_STEPS, self.interval)

    @property
    def flags(self) -> tuple[str, ...]:
        """The options that differ from their defaults, as they are given."""
        given: list[tuple[str, object, object]] = [
            ("--steps", self.steps, STEPS),
            ("--checkpoint-every", self.checkpoint_every, None),
            ("--validate-every", self.validate_every, VALIDATE_EVERY),
            ("--limit-s", self.limit_s, LIMIT_S),
            ("--kills", self.kills, KILLS),
        ]
        return tuple(word for name, value, usual in given if value != usual for word in (name, f"{value:g}"))


# For a release, which is looked at often: steps enough for an interval of the growth of memory, and for checkpoints.
BRIEF = TrainingSettings(steps=40, validate_every=40, brief=True)
BRIEF_MODEL_STEPS = 200  # of an entry of MODELS, whose steps take milliseconds, and whose batches are learned by heart
