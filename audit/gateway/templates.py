"""The templates of this process: one for each interpreter and environment, started when it is first asked for."""

import atexit
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from audit.gateway.commands import environment
from audit.gateway.forks import Template

_MOST = 4  # each holds torch in memory
_POLL_S = 0.05

_templates: dict[tuple[object, ...], Template | None] = {}  # None: such a one cannot fork
_retired: list[Template] = []
_lock = threading.Lock()


def ready(python: Path, is_wanted: Callable[[], bool]) -> Template | None:
    """Return a template that can fork; None where there can be none, or where it is not wanted any more.

    What torch and Python read when they start, they read in the template: whoever has another environment, or may run
    on other cores, has another template.
    """
    if not _can_fork():
        return None
    while not _lock.acquire(timeout=_POLL_S):
        if not is_wanted():
            return None
    try:
        variables = environment()
        key = (os.getpid(), _identity(python), frozenset(os.sched_getaffinity(0)), *sorted(variables.items()))
        known = _templates.get(key)
        if key in _templates and (known is None or known.is_alive):
            return known
        if known:
            known.end()
        _retire_all_but(_MOST - 1)
        template = Template(python, variables)
        if template.becomes_ready(is_wanted):
            _templates[key] = template
        else:
            template.end()
            if is_wanted():
                _templates[key] = None
        return _templates.get(key)
    finally:
        _lock.release()


def end() -> None:
    """End all templates, and what they have forked."""
    with _lock:
        _retire_all_but(0)
        while _retired:
            _retired.pop().end()


def _retire_all_but(most: int) -> None:
    """Keep the latest only; what the others have forked goes on."""
    _retired[:] = [template for template in _retired if template.is_alive]
    while len(_templates) > most:
        key = next(iter(_templates))
        template = _templates.pop(key)
        if template and key[0] == os.getpid():  # else a fork of the auditor's process has it from there
            template.retire()
            _retired.append(template)


def _can_fork() -> bool:
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def _identity(python: Path) -> tuple[object, ...]:
    try:
        status = python.stat()
    except OSError:
        return (python,)
    return python, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


atexit.register(end)
