"""Which part of a procedure is running, so that an exception can be laid at the right door."""

from collections.abc import Iterator
from contextlib import contextmanager

_current = ["start"]


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Mark a part of a procedure; an exception that leaves it keeps its mark."""
    before = _current[0]
    _current[0] = name
    yield
    _current[0] = before


def current() -> str:
    """Return the innermost part that was entered and not left."""
    return _current[0]


def reset() -> None:
    """Forget the mark that the last exception left."""
    _current[0] = "call"
