"""What an entry of the specs names and the model, or its batch, does not have."""

import difflib
import fnmatch
from collections.abc import Iterable, Mapping

import torch

_MOST_SHOWN = 8
_MOST_NEAR = 3
_MOST_LETTERS = 120


class Misdeclared(LookupError):
    """A key of the entry is not true of this model; the message goes on where the name of the key has been said."""


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """Return the names that a pattern is of, in which `*` stands for any text and all else for itself."""
    escaped = pattern.replace("[", "[[]").replace("?", "[?]")
    return [name for name in names if fnmatch.fnmatchcase(name, escaped)]


def returned(outputs: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    """Return the output of that name.

    Raises:
        Misdeclared: the model does not return it.
    """
    if name not in outputs:
        raise Misdeclared(f"the model returns no tensor {quoted(name)}{nearest(name, outputs)}")
    return outputs[name]


def quoted(name: str) -> str:
    """Return a name in quotes, without its middle where it is long."""
    return repr(name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS // 2]}...{name[-_MOST_LETTERS // 2 :]}")


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
