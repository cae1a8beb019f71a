"""What the target's programs are started with: their supervisor, and their environment."""

import inspect
import os
import sys

from audit.gateway import supervisor


def supervised(*command: str, data_limit: int) -> list[str]:
    """Return a command that runs `command` below a supervisor; its data is limited to so many bytes, unless 0."""
    script = inspect.getfile(supervisor)
    return [sys.executable, "-I", "-S", script, str(os.getpid()), str(data_limit), *command]


def environment() -> dict[str, str]:
    """Return the environment of the target's processes, and of what they start."""
    # The compiler of torch would start as many processes as there are cores beside every process here, torch in each.
    shared = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    # One after another, for another thread may remove a variable meanwhile.
    given = {name: value for name in list(os.environ) if (value := os.environ.get(name)) is not None}
    return {**shared, **given, "PYTHONDONTWRITEBYTECODE": "1"}  # the target's tree is read, never written
