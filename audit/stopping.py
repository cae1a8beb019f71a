"""Whether the user has asked the run to stop.

The signal handler raises KeyboardInterrupt, and some code that runs at that moment swallows it (torch while it loads).
So the wish is also kept here, and looked at where a run can end well.
"""

import threading

_wanted = threading.Event()


def want_stop() -> None:
    """Keep the wish."""
    _wanted.set()


def is_stop_wanted() -> bool:
    """Return whether the user has asked to stop."""
    return _wanted.is_set()


def stop_if_wanted() -> None:
    """Raise what Ctrl-C raises where the user has asked to stop.

    Raises:
        KeyboardInterrupt: a stop is wanted.
    """
    if _wanted.is_set():
        raise KeyboardInterrupt
