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
    asked = tuple(given())
    known = recalled(form, asked, store)
    if known is not None:
        return known.value
    value = conclude()
    if form.lasts(value) and asked == tuple(given()):
        keep(form, asked, value, witnesses=witnesses(), store=store)
    return value


@dataclass(frozen=True, slots=True)
class Known(Generic[_Value]):
    """What the store knows, and the files and folders it was found out with."""

    value: _Value
    witnesses: tuple[Path, ...]


def recalled(form: Form[_Value], given: Sequence[str], store: FactStore) -> Known[_Value] | None:
    """Return what was kept for what is `given`; None where there is nothing or a witness says otherwise now."""
    key = fact_key("conclusion", form.name, *given)
    known = store.facts([key]).get(key)
    if known is None:
        return None
    try:
        states, text = json.loads(known)
        if all((file_state(Path(path)) or _MISSING) == state for path, state in states):
            return Known(form.read(text), tuple(Path(path) for path, _ in states))
    except (ValueError, TypeError, LookupError):
        pass  # not what was written, though its sum is right: made anew
    return None


def keep(
    form: Form[_Value], given: Sequence[str], value: _Value, *, witnesses: Iterable[Path], store: FactStore
) -> None:
    """Keep what follows from what is `given`, unless a witness has changed so recently that a change may not show."""
    states = {str(path): _settled(path) for path in witnesses}
    if None not in states.values():
        key = fact_key("conclusion", form.name, *given)
        store.add_fact(key, json.dumps([sorted(states.items()), form.write(value)], check_circular=False))


def _settled(path: Path) -> str | None:
    """Return what the file system says of a path; None where the next change of it might not show."""
    return _MISSING if file_state(path) is None else settled_state(path)
