"""The parameters of the methods of a file's classes as one short text: most are never read, and all of them late."""

import base64
import zlib
from collections.abc import Mapping
from functools import cache, lru_cache

from audit.static.encoding import Codec
from audit.static.parameters import Parameter

_CODEC: Codec[tuple[Parameter, ...]] = Codec(tuple[Parameter, ...])


def signature_key(position: int, method: str) -> str:
    """Return the key of a method of the class at `position` of the file."""
    return f"{position}.{method}"


def written(signatures: Mapping[str, tuple[Parameter, ...]]) -> str:
    """Return signatures by key as text; not pressed they would be a fifth of all that is kept of some packages."""
    if not signatures:
        return ""
    lines = "\n".join(f"{key} {_CODEC.encode(parameters)}" for key, parameters in signatures.items())
    return base64.b64encode(zlib.compress(lines.encode(), level=1)).decode()


def signature_in(text: str, key: str) -> tuple[Parameter, ...] | None:
    """Return what `written` was given for a key; None where it was given nothing."""
    found = _by_key(text).get(key)
    return None if found is None else _parameters(found)


@lru_cache(maxsize=512)  # the classes of one file are asked for one after the other, and of few files all the time
def _by_key(text: str) -> Mapping[str, str]:
    lines = zlib.decompress(base64.b64decode(text)).decode().split("\n") if text else []
    return {key: parameters for key, _, parameters in (line.partition(" ") for line in lines)}


@cache  # most classes of a package take alike: what is written alike is read once, and is one object
def _parameters(text: str) -> tuple[Parameter, ...]:
    return tuple(map(_one_of, _CODEC.decode(text)))


@cache
def _one_of(parameter: Parameter) -> Parameter:
    return parameter
