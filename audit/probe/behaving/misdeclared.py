"""What an entry of the specs names and the model, or its batch, does not have."""

import difflib
from collections.abc import Iterable

_MOST_SHOWN = 8
_MOST_NEAR = 3


class Misdeclared(LookupError):
    """A key of the entry is not true of this model; the message goes on where the name of the key has been said."""


def nearest(wrong: str, known: Iterable[str]) -> str:
    """Return what is said behind a name that is not there: those that are nearly it, else the first that there are."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(wrong, names, n=_MOST_NEAR)
    if near:
        return f" (did you mean {' or '.join(map(repr, near))}?)"
    if not names:
        return "; there is none"
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"; there are {', '.join(map(repr, names[:_MOST_SHOWN]))}{more}"
