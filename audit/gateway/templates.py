"""The templates of this process: one for each interpreter, environment and set of modules, once it is asked for."""

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from audit.gateway.commands import environment
from audit.gateway.forks import Template

_MOST = 4  # each holds torch in memory
_POLL_S = 0.05

_Key = tuple[object, ...]

_templates: dict[_Key, Template | None] = {}  # None: such a one cannot fork
_retired: list[Template] = []
_lock = threading.Lock()  # of the two above; held for moments
_starting: dict[_Key, threading.Lock] = {}  # one template of a kind starts at a time, beside those of other kinds


def ready(python: Path, is_wanted: Callable[[], bool], ahead: Sequence[str] = ()) -> Template | None:
    """Return a template that can fork; None where there can be none, or where it is not wanted any more.

    What torch and Python read when they start, they read in the template: whoever has another environment, or may run
    on other cores, has another template. So has who wants other modules imported ahead.
    """
    if not _can_fork():
        return None
    variables = environment()
    cores = frozenset(os.sched_getaffinity(0))
    key = (os.getpid(), _identity(python), cores, tuple(ahead), *sorted(variables.items()))
    with _lock:
        own = _starting.setdefault(key, threading.Lock())
    with _held(own, is_wanted) as is_held:
        if not is_held:
            return None
        with _lock:
            known = _templates.get(key)
            if key in _templates and (known is None or known.is_alive):
                return known
        if known:
            known.end()
        template = Template(python, variables, ahead)
        is_ready = template.becomes_ready(is_wanted)
        if not is_ready:
            template.end()
        with _lock:
            if is_ready or is_wanted():
                _templates.pop(key, None)
                _retire_all_but(_MOST - 1)
                _templates[key] = template if is_ready else None
            return _templates.get(key)


@contextmanager
def _held(lock: threading.Lock, is_wanted: Callable[[], bool]) -> Iterator[bool]:
    """Hold a lock; False where it is not wanted any more before it can be had."""
    while not (is_held := lock.acquire(timeout=_POLL_S)) and is_wanted():
        pass
    try:
        yield is_held
    finally:
        if is_held:
            lock.release()


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
