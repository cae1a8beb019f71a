"""What run.json says of a run, read so that nonsense in it is told and not computed with."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

_LARGEST_SEED = 2**63 - 1


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value < 2**63


_COUNT = (_is_count, "a whole number from 1 on")
_NAME = (lambda value: isinstance(value, str) and value.isprintable() and 0 < len(value) <= 100, "a name")

# What a field may be, and how that is told.
_FIELDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "task": _NAME,
    "preset": _NAME,
    "seed": (
        lambda value: type(value) is int and 0 <= value <= _LARGEST_SEED,
        f"a whole number from 0 to {_LARGEST_SEED}",
    ),
    "steps": _COUNT,
    "batch_size": _COUNT,
    "accumulate": _COUNT,
    "world_size": _COUNT,
    "precision": _NAME,
    "device": _NAME,
    "version": _NAME,
    "torch": _NAME,
}


def read_identity(content: bytes) -> dict[str, Any]:
    """The fields of a run.json, each of its kind.

    Raises:
        ValueError: it is no JSON object, or a field is missing or nonsense; the message names it.
    """
    try:
        identity = json.loads(content)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except ValueError as error:
        raise ValueError("is not JSON") from error
    if not isinstance(identity, dict):
        raise ValueError("is not an object")
    for name, (fits, told) in _FIELDS.items():
        if name not in identity:
            raise ValueError(f"has no {name}, which is {told}")
        if not fits(identity[name]):
            raise ValueError(f"says that {name} is {shown(identity[name])}; expected {told}")
    return identity


def shown(value: object) -> str:
    """A value of JSON in a message: what is long is cut off."""
    if type(value) is int and abs(value) >= 10**40:  # Python refuses to write out the longest ones
        return f"a whole number of some {int(math.log10(2) * value.bit_length())} digits"
    text = ascii(value) if isinstance(value, str | int | float | None) else f"a JSON {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
