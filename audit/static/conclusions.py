"""What was concluded from many files, kept for runs in which none of them has changed.

A conclusion is found by a key of everything that it was made of. Files and folders outside of the target, which are
met on the way, are its witnesses: it counts as long as the file system says of each what it said then.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from audit.static.per_file import file_state, settled_state
from audit.static.store import FactStore, fact_key

_Value = TypeVar("_Value")
_MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Form(Generic[_Value]):
    """How a conclusion is written; `read` raises `ValueError` for what `write` has not written.

    One that does not last, for it follows from more than it is made of, is not kept.
    """

    name: str
    write: Callable[[_Value], str]
    read: Callable[[str], _Value]
    lasts: Callable[[_Value], bool] = lambda value: True


def concluded(
    form: Form[_Value],
    given: Callable[[], Sequence[str]],
    conclude: Callable[[], _Value],
    *,
    witnesses: Callable[[], Iterable[Path]],
    store: FactStore | None,
) -> _Value:
    """Return what `conclude` returns, without calling it where the store knows it.

    Args:
        form: its name, and how it is written.
        given: everything it depends on, except the `witnesses`; asked before and after, and where a file has changed
            meanwhile the conclusion is not kept.
        conclude: makes it.
        witnesses: the files and folders that `conclude` has looked at besides; asked after it.
        store: where conclusions are kept; None makes it anew.
    """
    if store is None:
        return conclude()
    key = fact_key("conclusion", form.name, *given())
    known = store.facts([key]).get(key)
    if known is not None:
        try:
            states, text = json.loads(known)
            if still_so(states):
                return form.read(text)
        except (ValueError, TypeError, LookupError):
            pass  # not what was written, though its sum is right: made anew below
    value = conclude()
    if not form.lasts(value):
        return value
    states = settled_states(witnesses())
    if states is not None and key == fact_key("conclusion", form.name, *given()):
        store.add_fact(key, json.dumps([sorted(states.items()), form.write(value)], check_circular=False))
    return value


def still_so(states: Iterable[tuple[str, str]]) -> bool:
    """Whether the file system says of every path what it said then."""
    return all((file_state(Path(path)) or _MISSING) == state for path, state in states)


def settled_states(paths: Iterable[Path]) -> dict[str, str] | None:
    """Return what the file system says of each path; None where the next change of one might not show."""
    states = {}
    for path in paths:
        state = _MISSING if file_state(path) is None else settled_state(path)
        if state is None:
            return None
        states[str(path)] = state
    return states
