"""Plain data: what execnet can carry, which is exact builtin types and no subclass of them."""

from collections.abc import Callable, Mapping

# execnet writes integers up to 2**31 - 1 in four bytes with a sign and larger ones as decimal digits.
_SMALLEST, _LARGEST = -(2**31), 2**63 - 1


class NotPlain(TypeError):
    """A value that has no plain form."""


def plain(value: object, where: str = "value") -> object:
    """Return a copy of `value` that holds builtin types only.

    Raises:
        NotPlain: something in it is neither text, bytes, None, a number that execnet can carry, nor a container of
            these.
    """
    if value is None or type(value) in (bool, float, bytes):
        return value
    if isinstance(value, int):
        if not _SMALLEST <= value <= _LARGEST:
            raise NotPlain(f"{where} must be a whole number from -2**31 to 2**63 - 1")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, Mapping):
        return {encodable(str(key)): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(item, f"{where}[{index}]") for index, item in enumerate(value))
    if isinstance(value, list):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise NotPlain(f"{where} must be plain data, not {type(value).__name__}")


def encodable(text: str) -> str:
    """Return the text as an exact `str` that UTF-8 can encode: lone surrogates, as in file names, become escapes."""
    return str.encode(text, "utf-8", "backslashreplace").decode()


def readable(text: Callable[[], str]) -> str:
    """Return a text of an exception; its own `__str__` is the target's code and may raise in turn."""
    try:
        return encodable(text())
    except BaseException as inner:
        return f"(its message could not be read: {type(inner).__name__})"


def said_by(error: BaseException, most: int = 300) -> str:
    """Return the type of an exception and at most so many letters of its message."""
    return f"{encodable(type(error).__name__)}: {readable(lambda: str(error))[:most]}"
