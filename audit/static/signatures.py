"""The parameters of the methods of a file's classes as one short text: most are never read, and all of them late."""

import base64
import zlib
from collections.abc import Mapping
from functools import cache, lru_cache

from audit.static.encoding import Codec
from audit.static.parameters import Parameter

Signatures = Mapping[str, tuple[Parameter, ...]]
_CODEC: Codec[Signatures] = Codec(Signatures)


def signature_key(position: int, method: str) -> str:
    """Return the key of a method of the class at `position` of the file."""
    return f"{position}.{method}"


def written(signatures: Signatures) -> str:
    """Return the signatures as text; written out they would be a fifth of all that is kept of some packages."""
    if not signatures:
        return ""
    return base64.b64encode(zlib.compress(_CODEC.encode(signatures).encode(), level=1)).decode()


@lru_cache(maxsize=512)  # the classes of one file are asked for one after the other, and of few files all the time
def read_signatures(text: str) -> Signatures:
    """Return what `written` was given. Equal parameters are one object: most classes of a package take alike."""
    read = _CODEC.decode(zlib.decompress(base64.b64decode(text)).decode()) if text else {}
    return {key: _one(tuple(map(_one_of, parameters))) for key, parameters in read.items()}


@cache
def _one_of(parameter: Parameter) -> Parameter:
    return parameter


@cache
def _one(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    return parameters
