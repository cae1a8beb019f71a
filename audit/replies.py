"""Reads what the target's process sends: its word, of which nothing is taken for granted but that it is plain data.

Each function raises `ProbeFailure` where the reply has nothing of that kind under the key.
"""

from collections.abc import Mapping
from typing import TypeVar

from audit.gateway import ProbeFailure
from audit.gateway.client import Plain

_Kind = TypeVar("_Kind")


def number_of(reply: Mapping[str, Plain], key: str) -> float:
    """Return the number that a reply holds under `key`."""
    value = reply.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _without(key)
    return value


def text_of(reply: Mapping[str, Plain], key: str) -> str:
    """Return the text that a reply holds under `key`."""
    return _held(reply, key, str)


def bytes_of(reply: Mapping[str, Plain], key: str) -> bytes:
    """Return the bytes that a reply holds under `key`."""
    return _held(reply, key, bytes)


def table_of(reply: Mapping[str, Plain], key: str) -> Mapping[str, Plain]:
    """Return what a reply holds by names under `key`."""
    return _held(reply, key, dict)


def list_of(reply: Mapping[str, Plain], key: str) -> list[Plain]:
    """Return the list that a reply holds under `key`."""
    return _held(reply, key, list)


def names_of(reply: Mapping[str, Plain], key: str) -> list[str]:
    """Return the list of names that a reply holds under `key`."""
    return [str(name) for name in list_of(reply, key)]


def numbers_of(reply: Mapping[str, Plain], key: str) -> list[float]:
    """Return the list of numbers that a reply holds under `key`."""
    return [number_of({key: item}, key) for item in list_of(reply, key)]


def places_of(reply: Mapping[str, Plain], key: str) -> list[tuple[str, int]]:
    """Return the files and lines that a reply holds under `key`."""
    found: list[tuple[str, int]] = []
    for each in list_of(reply, key):
        match each:
            case [str(path), int(line)] if line > 0:
                found.append((path, line))
            case _:
                raise _without(key)
    return found


def _held(reply: Mapping[str, Plain], key: str, kind: type[_Kind]) -> _Kind:
    value = reply.get(key)
    if not isinstance(value, kind):
        raise _without(key)
    return value


def _without(key: str) -> ProbeFailure:
    return ProbeFailure(f"the target's process sent a reply without {key}")
