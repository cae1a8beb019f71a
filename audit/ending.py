"""Who may end this process: an exit code of 0 that no report stands behind would read as a success.

Plug-ins are imported into the tool's own process. What ends it by Python's own words is caught here; code that is
compiled can still end it, as it can do anything else.
"""

import os
import posix
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from audit.errors import EXIT_INCOMPLETE

_MODULES = (os, posix)  # the second has the functions of the first, which some call directly
_ENDING = ("_exit", "execv", "execve")  # after the last two the process is another program's


class _ComeTo:
    """The exit code that the command has come to."""

    code: int | None = None


def come_to(code: object) -> None:
    """Say how the command ends, before what other packages have registered for the end is run."""
    _ComeTo.code = code if isinstance(code, int) else EXIT_INCOMPLETE if code else 0


def keep_exit_code() -> None:
    """Have `os._exit` leave this process with what the command has come to, whatever code it is given.

    Children that were forked leave as they like.
    """
    own, leave = os.getpid(), os._exit

    def left(status: int) -> NoReturn:
        if os.getpid() != own:
            leave(status)
        if _ComeTo.code is None:
            line = f"astrobio-audit: os._exit({status}) was called in this process before there was a report\n"
            os.write(2, line.encode())
        leave(EXIT_INCOMPLETE if _ComeTo.code is None else _ComeTo.code)

    for module in _MODULES:
        setattr(module, "_exit", left)  # noqa: B010  # the one way to hear of it; types refuse the assignment


@contextmanager
def staying() -> Iterator[None]:
    """Refuse to end this process, or to make it another program.

    Raises:
        ValueError: where the block, or what it calls, tries to.
    """
    own, within = os.getpid(), [True]
    saved = [(module, name, getattr(module, name)) for module in _MODULES for name in _ENDING]

    def refusing(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def refused(*given: object) -> object:
            if within and os.getpid() == own:
                raise ValueError(f"it would end this process: os.{name}")
            return real(*given)

        return refused

    for module, name, real in saved:
        setattr(module, name, refusing(name, real))
    try:
        yield
    finally:
        within.clear()  # who has taken a function meanwhile may call it later
        for module, name, real in saved:
            setattr(module, name, real)
