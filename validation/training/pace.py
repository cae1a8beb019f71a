"""How many optimizer steps the target's own command takes for each of its `{steps}`, which may count something else."""

from dataclasses import dataclass
from fractions import Fraction

from audit.judgement import Judgement, Measured, error, failed
from audit.results import Comparison
from validation.training.settings import COMMAND_STEPS

_FIX = (
    "let {steps} be the number of optimizer steps, or declare with 'optimizer_steps' in the entry how many are taken "
    "for each of {steps} (2 for two optimizers, 0.5 for two micro-batches)"
)
_FIX_EARLY = "name a command with whatever ends it early, such as an early stop, turned off"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Optimizer steps for each of the command's own, or its own for each of an optimizer: one of the two is 1."""

    optimizer_steps: int = 1
    own_steps: int = 1

    @property
    def taken(self) -> int:
        """Optimizer steps of a whole run."""
        return COMMAND_STEPS * self.optimizer_steps

    @property
    def asked(self) -> int:
        """What `{steps}` is in the command line."""
        return COMMAND_STEPS * self.own_steps

    def own_steps_of(self, optimizer_step: int) -> range:
        """Return which of the command's own steps, counted from 1, a step of an optimizer belongs to."""
        last = -(-optimizer_step // self.optimizer_steps) * self.own_steps
        return range(last - self.own_steps + 1, last + 1)


AS_ASKED = Pace()


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A shorter run, and what was counted in it.

    Attributes:
        asked: its `{steps}`.
        took: its optimizer steps.
        optimizers: that took them.
        gradients: that a parameter of the first of these was given in all steps but its first.
        steps: how many these were.
    """

    asked: int
    took: int
    optimizers: int
    gradients: int
    steps: int


def declared_pace(optimizer_steps: float) -> Pace:
    """Return what an entry declares."""
    if optimizer_steps >= 1:
        return Pace(optimizer_steps=round(optimizer_steps))
    return Pace(own_steps=round(1 / optimizer_steps))


def pace_of(took: int, counted: Counted) -> Pace | Judgement:
    """Return the pace of a command that took other optimizer steps than its `{steps}`, or why it is not known.

    More are explained by several optimizers, fewer by as many gradients for each step, where a shorter run is in
    proportion. Anything else may be a mistake of the trainer, and is not taken for a pace.
    """
    asked = COMMAND_STEPS
    account = (
        f"it took {took} optimizer steps where its command line asks for {asked}, and {counted.took} where it asks "
    )
    account += f"for {counted.asked}"
    if took < asked and counted.took in (took, counted.asked):
        return error(f"{account}: it stops early, or does not heed {{steps}}", fix=_FIX_EARLY)
    each = counted.gradients // counted.steps if counted.steps else 0
    if each > 1 and each * counted.steps == counted.gradients and _are_parts(took, counted, each):
        return Pace(own_steps=each)
    ratio = Fraction(took, asked)
    if ratio != Fraction(counted.took, counted.asked):
        return failed(f"{account}", measured=of_steps(took, AS_ASKED), fix="take the steps that are asked for")
    if ratio.denominator == 1 and 1 < counted.optimizers <= ratio:
        return Pace(optimizer_steps=int(ratio))
    return error(f"{account}, with {counted.optimizers} optimizer(s): what {{steps}} means is not known", fix=_FIX)


def _are_parts(took: int, counted: Counted, each: int) -> bool:
    """Return whether each optimizer step is of so many of the command's own; the last may be of fewer, or left out."""
    runs = ((took, COMMAND_STEPS), (counted.took, counted.asked))
    return all(done in (asked // each, -(-asked // each)) for done, asked in runs)


def of_steps(took: int, pace: Pace) -> Measured:
    """Return the measurement of a run that took other steps than it was asked for."""
    return Measured(
        value=took,
        bound=pace.taken,
        comparison=Comparison.EQUAL,
        origin=f"{{steps}} in its command line, {pace.asked}",
        unit="optimizer steps",
    )
