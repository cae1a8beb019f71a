"""Facts about a file as JSON text and back, by the types of their fields.

JSON, not pickle: text from a store or a worker can at worst be refused, while unpickling runs what it holds. A type
is a frozen dataclass of `str`, `int`, `float`, `bool`, `None`, enums, tuples, frozen sets, mappings from `str`, other
such dataclasses and unions. A mapping stays text until it is first asked, since most bindings never are.
"""

import enum
import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints

_Plain = Callable[[Any], Any]
_Fact = TypeVar("_Fact")
_Value = TypeVar("_Value")
_being_made: set[type] = set()
_ATOMS = (str, int, float, bool, types.NoneType)


class EncodingError(ValueError):
    """A text is not what `encode` writes for the type."""


class Codec(Generic[_Fact]):
    """Writes values of one type as text and reads them."""

    def __init__(self, kind: object) -> None:
        """Prepare for `kind`; raises `TypeError` for one that facts cannot have."""
        self._to_plain, self._from_plain = _part(kind)

    def encode(self, fact: _Fact) -> str:
        """Return `fact` as one line of ASCII without tabs."""
        return _dumps(self._to_plain(fact))

    def decode(self, text: str) -> _Fact:
        """Return what `encode` was given.

        Raises:
            EncodingError: the text has another form.
        """
        try:
            return cast("_Fact", self._from_plain(json.loads(text)))
        except (TypeError, ValueError, LookupError, RecursionError) as error:
            raise EncodingError(f"not a fact of this type: {error}") from error


class LazyMapping(Mapping[str, _Value]):
    """A mapping that is read from its text when it is first asked.

    Of a short text only those values are read that are asked for: in thousands of files most names never are, and all
    of their values take 50 MB. An identifier between a comma or brace and a colon is a key: within a text the quotes
    around it would have backslashes.
    """

    __slots__ = ("_decode", "_text", "_values")

    def __init__(self, text: str, decode: Callable[[Any], _Value]) -> None:
        """Keep `text`; `decode` reads one value."""
        self._text: str | None = text
        self._decode = decode
        self._values: dict[str, _Value] = {}

    def _all(self) -> dict[str, _Value]:
        if self._text is not None:
            self._values = {key: self._decode(each) for key, each in json.loads(self._text).items()}
            self._text = None
        return self._values

    def _place_of(self, key: str, text: str) -> int:
        """Return where in `text` the value of the identifier `key` starts; -1 where there is none."""
        written = f"{_dumps(key)}:"
        found = 0 if text.startswith(written, 1) else text.find(f",{written}")
        return found + 1 + len(written) if found >= 0 else -1

    def __getitem__(self, key: str) -> _Value:
        """Return the value of `key`."""
        text = self._text
        if text is None or len(text) > _SHORT or not key.isidentifier():
            return self._all()[key]
        if key not in self._values:
            start = self._place_of(key, text)
            if start < 0:
                raise KeyError(key)
            self._values[key] = self._decode(_read_at(text, start)[0])
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        """Whether there is a value of `key`."""
        text = self._text
        if text is None or len(text) > _SHORT or not (isinstance(key, str) and key.isidentifier()):
            return key in self._all()
        return self._place_of(key, text) >= 0

    def __iter__(self) -> Iterator[str]:
        """Yield the keys in the order in which they were written."""
        return iter(self._all())

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._all())

    def __repr__(self) -> str:
        """Return what the `dict` of the same values returns: one analysis reads like another."""
        return repr(self._all())


_dumps = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_read_at = json.JSONDecoder().raw_decode
_SHORT = 4000  # letters that are looked through faster than a dictionary is made of them
_NO_NAME = 60  # letters that digests and pressed texts have, of which no two are alike


@cache
def _part(kind: Any) -> tuple[_Plain, _Plain]:
    """Return how a value of `kind` becomes plain data and is read from it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _ATOMS:
        return _same, _checked(kind)
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return _sequence(arguments[0], tuple)
    if origin is tuple:
        return _fixed(arguments)
    if origin is frozenset:
        return _sequence(arguments[0], frozenset)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping) and arguments[0] is str:
        return _mapping(arguments[1])
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enumeration(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _record(kind)
    raise TypeError(f"a fact cannot hold {kind}")


def _same(value: Any) -> Any:
    return value


def _text(plain: Any) -> str:
    """Return a text; of names, which thousands of files repeat, every one is held once."""
    if type(plain) is not str:
        raise TypeError(f"{type(plain).__name__} in place of a text")
    return sys.intern(plain) if len(plain) < _NO_NAME else plain


def _checked(kind: type) -> _Plain:
    if kind is str:
        return _text

    def check(plain: Any) -> Any:
        if type(plain) is not kind:
            raise TypeError(f"{type(plain).__name__} in place of {kind.__name__}")
        return plain

    return check


def _listed(plain: Any) -> list[Any]:
    if type(plain) is not list:
        raise TypeError(f"{type(plain).__name__} in place of a list")
    return plain


def _sequence(kind: Any, collection: Callable[[Any], Any]) -> tuple[_Plain, _Plain]:
    if kind in _ATOMS:
        return _atoms(kind, collection)
    to_plain, from_plain = _part(kind)

    def write(value: Any) -> list[Any]:
        plain = list(value) if to_plain is _same else [to_plain(each) for each in value]
        return sorted(plain) if collection is frozenset else plain  # one set, one text

    return write, lambda plain: collection([from_plain(each) for each in _listed(plain)])


def _atoms(kind: type, collection: Callable[[Any], Any]) -> tuple[_Plain, _Plain]:
    """Return how many values of a plain type are written: most of what is kept, and checked all at once."""

    def read(plain: Any) -> Any:
        if not {kind}.issuperset(map(type, _listed(plain))):
            raise TypeError(f"something else among values of {kind.__name__}")
        return collection(map(_text, plain) if kind is str else plain)

    return (sorted if collection is frozenset else list), read


def _fixed(kinds: tuple[Any, ...]) -> tuple[_Plain, _Plain]:
    parts = [_part(kind) for kind in kinds]
    return (
        lambda value: [write(each) for (write, _), each in zip(parts, value, strict=True)],
        lambda plain: tuple([read(each) for (_, read), each in zip(parts, _listed(plain), strict=True)]),
    )


def _mapping(kind: Any) -> tuple[_Plain, _Plain]:
    to_plain, from_plain = _part(kind)
    is_text = _checked(str)
    return (
        lambda value: _dumps({key: to_plain(each) for key, each in value.items()}),
        lambda plain: LazyMapping(is_text(plain), from_plain),
    )


def _enumeration(kind: type[enum.Enum]) -> tuple[_Plain, _Plain]:
    members = {member.value: member for member in kind}
    if issubclass(kind, enum.StrEnum):  # its members are texts already
        return _same, members.__getitem__
    return lambda member: member.value, members.__getitem__


def _union(kinds: tuple[Any, ...]) -> tuple[_Plain, _Plain]:
    """Return how one of several types is written: None as it is, any other with its position in the union."""
    parts = [_part(kind) for kind in kinds]
    classes = [get_origin(kind) or kind for kind in kinds]
    position_of: dict[type, int] = {}  # of the values met so far, by their class

    def write(value: Any) -> Any:
        if value is None:
            return None
        position = position_of.get(value.__class__)
        if position is None:
            position = next(place for place, each in enumerate(classes) if isinstance(value, each))
            position_of[value.__class__] = position
        return [position, parts[position][0](value)]

    def read(plain: Any) -> Any:
        if plain is None and types.NoneType in classes:
            return None
        position, value = _listed(plain)
        return parts[position][1](value)

    return write, read


def _record(kind: type) -> tuple[_Plain, _Plain]:
    """Return how a dataclass is written: the values of its fields, without those at the end that are the default."""
    if kind in _being_made:  # it holds itself, perhaps through others: looked up when it is written or read
        return lambda value: _part(kind)[0](value), lambda plain: _part(kind)[1](plain)
    _being_made.add(kind)
    try:
        return _made_record(kind)
    finally:
        _being_made.discard(kind)


def _made_record(kind: type) -> tuple[_Plain, _Plain]:
    hints = get_type_hints(kind)
    declared = fields(kind)
    names = [field.name for field in declared]
    writers = [_part(hints[name])[0] for name in names]
    readers = [_part(hints[name])[1] for name in names]
    defaults = [field.default for field in declared]
    needed = next((length for length in range(len(defaults), 0, -1) if defaults[length - 1] is MISSING), 0)
    by_keyword = any(field.kw_only for field in declared)

    fields_of = attrgetter(*names) if len(names) > 1 else lambda value: [getattr(value, name) for name in names]
    changing = [(place, to_plain) for place, to_plain in enumerate(writers) if to_plain is not _same]

    def write(value: Any) -> list[Any]:
        values = list(fields_of(value))
        while len(values) > needed and values[-1] == defaults[len(values) - 1]:
            values.pop()
        for place, to_plain in changing:
            if place < len(values):
                values[place] = to_plain(values[place])
        return values

    def read(plain: Any) -> Any:
        if not needed <= len(_listed(plain)) <= len(names):
            raise ValueError(f"{len(plain)} values for {kind.__name__}")
        values = [from_plain(each) for from_plain, each in zip(readers, plain, strict=False)]
        return kind(**dict(zip(names, values, strict=False))) if by_keyword else kind(*values)

    return write, read
