"""What a stage made of many files, kept for runs in which some of them have changed: where the next one begins.

It is found by a key of everything that it was made of except the files' contents, and says itself which contents it
is about. As with a conclusion, files and folders outside of the target that were met on the way are its witnesses: it
counts for nothing once the file system says something else of one of them.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from audit.static.conclusions import Form, settled_states, still_so
from audit.static.store import FactStore, fact_key

_Value = TypeVar("_Value")


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
