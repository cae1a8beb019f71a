"""From which step a run of the target's command went on, and whether as the uninterrupted one did."""

from dataclasses import dataclass

from validation.training.checks.command_repeats import last_lines
from validation.training.trainee import CommandRun, Reference


@dataclass(frozen=True, kw_only=True)
class Account:
    """What became of a resumed run: the step that it went on from and the last one it did, or what is wrong with it."""

    begun: int = 0
    done: int = 0
    problem: str | None = None


def account_of(reference: Reference, run: CommandRun, *, near: int = 0) -> Account:
    """Compare a run with the uninterrupted one; `near` is the step that it should have gone on from."""
    if not run.checksums:
        if run.status == 0:
            return Account(problem="it ended without a further step")
        return Account(problem=f"it did not go on (status {run.status}): {last_lines(run)}")
    position = reference.position(run, near=near)
    if position is None:
        return Account(problem=f"it went on with {reference.difference(run, near=near)}")
    return Account(begun=position, done=position + len(run.checksums))
