"""What was concluded from many files, kept for later runs: where none of them has changed, or as where to begin.

A conclusion is found by a key of everything that it was made of. Files and folders outside of the target, which are
met on the way, are its witnesses: it counts as long as the file system says of each what it said then. What the next
run begins with where files have changed is found by a key without their contents, and says itself what it is about.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
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
    asked = tuple(given()) if store else ()
    known = Remembered(form, asked, store=store)
    if known.value is not None:
        return known.value
    value = conclude()
    if store and asked == tuple(given()):
        known.keep(value, witnesses=witnesses())
    return value


class Remembered(Generic[_Value]):
    """`value` is what the last run with the same `given` kept; None where there is none, or it no longer counts.

    It is looked for when it is first asked for. `witnesses` are those of the value; what is made with its help
    follows from them too.
    """

    def __init__(self, form: Form[_Value], given: Sequence[str], *, store: FactStore | None) -> None:
        """Look for nothing yet; without a store nothing is kept."""
        self._form = form
        self._store = store
        self._key = fact_key("remembered", form.name, *given)
        self._states: dict[str, str] = {}

    @cached_property
    def value(self) -> _Value | None:
        """What an earlier run kept."""
        return self._found(self._store) if self._store else None

    @property
    def witnesses(self) -> set[Path]:
        """The files and folders of which the value tells."""
        return set(map(Path, self._states))

    def _found(self, store: FactStore) -> _Value | None:
        text = store.facts([self._key]).get(self._key)
        if text is None:
            return None
        try:
            first, _, written = text.partition("\n")
            states = json.loads(first)
            if still_so(states):
                value = self._form.read(written)
                self._states = dict(states)
                return value
        except (ValueError, TypeError, LookupError):
            pass  # not what was written, though its sum is right
        return None

    def keep(self, value: _Value, *, witnesses: Iterable[Path]) -> None:
        """Keep a value for the next run, unless the next change of one of its witnesses might not show."""
        if self._store is None or not self._form.lasts(value):
            return
        new = [path for path in witnesses if str(path) not in self._states]
        states = settled_states(new)
        if states is not None:
            first = json.dumps(sorted((self._states | states).items()))
            self._store.add_fact(self._key, f"{first}\n{self._form.write(value)}")


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
