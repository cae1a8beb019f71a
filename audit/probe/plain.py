"""Plain data: what execnet can carry, which is exact builtin types and no subclass of them."""

from collections.abc import Mapping


class NotPlain(TypeError):
    """A value that has no plain form."""


def plain(value: object, where: str = "value") -> object:
    """Return a copy of `value` that holds builtin types only.

    Raises:
        NotPlain: something in it is neither a number, text, bytes, None nor a container of these.
    """
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(item, f"{where}[{index}]") for index, item in enumerate(value))
    if isinstance(value, list):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise NotPlain(f"{where} must be plain data, not {type(value).__name__}")
