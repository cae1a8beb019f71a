"""Finds what a configuration names by `module:name`."""

import importlib
from collections.abc import Callable


def named(path: str) -> Callable[..., object]:
    """Import and return a callable of the target.

    Raises:
        TypeError: what is there cannot be called.
    """
    module, _, qualname = path.partition(":")
    found: object = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{path} is {type(found).__name__}, which cannot be called")
    return found
