"""At which line of a TOML file a key is written: `tomllib` tells no places."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from itertools import takewhile

_KEY = r"(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')"
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_TABLE = re.compile(rf"^\s*(\[\[?)\s*({_KEYS})\s*\]")
_ASSIGNED = re.compile(rf"^\s*({_KEYS})\s*=")
_QUOTES = re.compile(r"\"\"\"|'''")
Place = tuple[str | int, ...]


def line_of(text: str, place: Sequence[str | int]) -> int | None:
    """Return the line, from 1, of what leads furthest to a place in a valid document; None where nothing leads there.

    Args:
        text: the document.
        place: keys from its top; an entry of a list of tables is its number, from 0.
    """
    wanted = tuple(place)
    best, found = 0, None
    for line, written in _written(text):
        shared = len([*takewhile(lambda pair: pair[0] == pair[1], zip(written, wanted, strict=False))])
        if shared == min(len(written), len(wanted)) and shared > best:
            best, found = shared, line
    return found


def _written(text: str) -> Iterator[tuple[int, Place]]:
    """Yield the line of each table and key that stands at the beginning of a line, with the keys that lead to it."""
    table: Place = ()
    counts: dict[Place, int] = {}
    closing = ""
    for line, content in enumerate(text.split("\n"), start=1):
        if closing:
            closing = "" if closing in content else closing
            continue
        if header := _TABLE.match(content):
            keys = _names(header[2])
            table = _numbered(keys, counts)
            if header[1] == "[[":
                counts[keys] = counts.get(keys, -1) + 1
                table = (*_numbered(keys[:-1], counts), keys[-1], counts[keys])
            yield line, table
        elif assigned := _ASSIGNED.match(content):
            yield line, (*table, *_names(assigned[1]))
            quotes = _QUOTES.findall(content)
            closing = quotes[-1] if len(quotes) % 2 else ""


def _names(keys: str) -> tuple[str, ...]:
    """Return dotted keys without quotes and escapes."""
    node: object = tomllib.loads(f"{keys} = 0")
    names = []
    while isinstance(node, dict):
        ((name, node),) = node.items()
        names.append(name)
    return tuple(names)


def _numbered(keys: tuple[str, ...], counts: dict[Place, int]) -> Place:
    """Return keys with the number of the entry behind each that is a list of tables."""
    found: list[str | int] = []
    for end, key in enumerate(keys, start=1):
        found.append(key)
        if keys[:end] in counts:
            found.append(counts[keys[:end]])
    return tuple(found)
