"""Which names a mistyped one may mean: what counts as near is decided here, for options, commands and names alike."""

import difflib
from collections.abc import Iterable

_MOST = 3
_LEAST_LETTERS = 2  # one letter begins too many names to mean any


def nearest(wanted: str, names: Iterable[str], *, shortened: bool = False) -> list[str]:
    """Return the names that are most alike, the nearest first; small letters are as good.

    Args:
        wanted: what the user wrote.
        names: what there is.
        shortened: whether, where none is alike, those count that it is short for: `md` for `markdown`. Of many names
            too many have the letters.
    """
    by_text = {name.lower(): name for name in names}
    asked = wanted.lower()
    if asked in by_text:
        return [by_text[asked]]
    found = difflib.get_close_matches(asked, by_text, n=_MOST) if asked else []
    if shortened and not found:
        found = sorted((name for name in by_text if _is_short_for(asked, name)), key=lambda name: (len(name), name))
    return [by_text[name] for name in found[:_MOST]]


def hint(wanted: str, names: Iterable[str], *, otherwise: str, shortened: bool = False) -> str:
    """Return what follows the news that there is no such name: the nearest ones, or `otherwise`."""
    near = nearest(wanted, names, shortened=shortened)
    return f"did you mean {' or '.join(near)}?" if near else otherwise


def _is_short_for(asked: str, name: str) -> bool:
    """Return whether the letters stand in the name in their order, the first of them first."""
    if len(asked) < _LEAST_LETTERS or name[:1] != asked[0]:
        return False
    rest = iter(name)
    return all(any(letter == each for each in rest) for letter in asked)
