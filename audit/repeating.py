"""The command line that repeats a check."""

import shlex
from collections.abc import Sequence

from audit.plan import PlannedCheck
from audit.results import Subject
from audit.target import Target

# Areas whose checks belong to a command of another name.
_COMMANDS = {"rules": "static", "tests": "mutate"}
_COMMANDS |= dict.fromkeys(("documents", "infrastructure", "checkpoints", "data", "security"), "readiness")


def command_of(target: Target, planned: PlannedCheck, subject: Subject | None = None) -> str:
    """Return the command that repeats a planned check, on the subject as it is known now."""
    seed = target.settings.seed
    return reproduce_command(
        target, planned.check.id, subject or planned.subject, seed, flags=planned.flags, command=planned.command
    )


def reproduce_command(
    target: Target, check: str, subject: Subject, seed: int, *, flags: Sequence[str] = (), command: str = ""
) -> str:
    """Return the command that repeats one check on one subject, to be run in the target's root."""
    area = check.partition(".")[0]
    parts = [
        "astrobio-audit",
        command or _COMMANDS.get(area, area),
        *target.flags,
        *flags,
        "--only",
        check,
        "--subject",
        subject.name,
        "--seed",
        str(seed),
    ]
    return shlex.join(parts)  # names are the target's: pasted into a shell they must stay words
