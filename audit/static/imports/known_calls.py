"""What calls into the standard library and `packaging` give, as far as conditions around imports ask for them."""

import re
from collections.abc import Callable, Mapping
from itertools import zip_longest

from audit.static.imports.interpreter import InterpreterFacts, normalised
from audit.static.imports.values import SOMETHING, UNKNOWN, Known, Method, Outside, Tuple, Value, Version, truth

_VERSION_CALLS = frozenset({"packaging.version.parse", "packaging.version.Version", "pkg_resources.parse_version"})
_METADATA = ("importlib.metadata.", "importlib_metadata.")
_ENVIRONMENT_CALLS = frozenset({"os.environ.get", "os.getenv"})
_TEXT_METHODS: Mapping[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower, "strip": str.strip}


def constants(facts: InterpreterFacts) -> Mapping[str, Value]:
    """Return the values that an interpreter's modules have, by dotted name."""
    version = Tuple((*map(Known, facts.version), Known("final"), Known(0)))
    return {
        "sys.version_info": version,
        "sys.version_info.major": Known(facts.version[0]),
        "sys.version_info.minor": Known(facts.version[1]),
        "sys.platform": Known(facts.platform),
        "sys.implementation.name": Known(facts.implementation),
        "os.name": Known(facts.os_name),
        "typing.TYPE_CHECKING": Known(False),
        "typing_extensions.TYPE_CHECKING": Known(False),
    }


def external_call(name: str, arguments: tuple[Value, ...], facts: InterpreterFacts) -> Value | str:
    """Return what calling a function outside the target gives; a text is the name of the exception that it raises."""
    if name in ("platform.system", "platform.machine"):
        return Known(facts.system if name.endswith("system") else facts.machine)
    if name == "platform.python_version":
        return Known(".".join(map(str, facts.version)))
    match arguments:
        case [Known(value=str(text))] if name in _VERSION_CALLS:
            return Version(text) if re.match(r"v?\d", text) else "InvalidVersion"
        case [Known(value=str(text))] if name.startswith(_METADATA) and name.endswith(".version"):
            version = facts.version_of.get(normalised(text))
            return Known(version) if version else "PackageNotFoundError"
        case [Known(value=str(text)), *default] if name in _ENVIRONMENT_CALLS:
            return Known(facts.environment[text]) if text in facts.environment else (*default, Known(None))[0]
    return UNKNOWN


def builtin_call(name: str, arguments: tuple[Value, ...]) -> Value:
    """Return what a builtin function gives for values that are known."""
    match name, arguments:
        case "bool", [value]:
            decided = truth(value)
            return UNKNOWN if decided is None else Known(decided)
        case "len", [Tuple(parts=parts)]:
            return Known(len(parts))
        case "str", [Known(value=str()) as value]:
            return value
        case "int", [Known(value=str(text))] if text.isdecimal():
            return Known(int(text))
        case (("tuple" | "list" | "set" | "frozenset" | "sorted"), [Tuple() as value]):
            return value
    return UNKNOWN


def method_call(method: Method, arguments: tuple[Value, ...]) -> Value:
    """Return what a method of a constant gives."""
    match method.owner, method.name, arguments:
        case Known(value=str(text)), name, [] if name in _TEXT_METHODS:
            return Known(_TEXT_METHODS[name](text))
        case Known(value=str(text)), ("startswith" | "endswith" as name), [Known(value=str(part))]:
            return Known(text.startswith(part) if name == "startswith" else text.endswith(part))
        case Known(value=str(text)), "split", [Known(value=str(mark))] if mark:
            return Tuple(tuple(map(Known, text.split(mark))))
        case Tuple(parts=parts), "union", [Tuple(parts=more)]:
            return Tuple((*parts, *more))
    return UNKNOWN


def attribute_of_constant(owner: Value, name: str) -> Value:
    """Return an attribute of a constant or a version; methods are bound, to be called."""
    if isinstance(owner, Version):
        release = _numbers(owner.text)
        if name == "base_version":
            return Known(".".join(map(str, release)))
        if name == "release":
            return Tuple(tuple(map(Known, release)))
        if name in ("major", "minor", "micro"):
            place = ("major", "minor", "micro").index(name)
            return Known((*release, 0, 0, 0)[place])
        return UNKNOWN
    return Method(owner, name) if isinstance(owner, Known | Tuple) else UNKNOWN


def compared(left: Value, operator: str, right: Value) -> bool | None:
    """Return the truth of a comparison; None where it is not known."""
    if operator in ("Is", "IsNot"):
        return _identical(left, right, negated=operator == "IsNot")
    if operator in ("In", "NotIn"):
        return _contained(left, right, negated=operator == "NotIn")
    if isinstance(left, Version) or isinstance(right, Version):
        return _versions_compared(left, operator, right)
    try:
        one, other = _plain(left), _plain(right)
        return bool(_OPERATORS[operator](one, other))
    except (_NotPlain, KeyError, TypeError):
        return None


class _NotPlain(Exception):
    """The value is not one that Python can compare here."""


_OPERATORS: Mapping[str, Callable[[object, object], object]] = {
    "Eq": lambda one, other: one == other,
    "NotEq": lambda one, other: one != other,
    "Lt": lambda one, other: one < other,  # type: ignore[operator]
    "LtE": lambda one, other: one <= other,  # type: ignore[operator]
    "Gt": lambda one, other: one > other,  # type: ignore[operator]
    "GtE": lambda one, other: one >= other,  # type: ignore[operator]
}


def _plain(value: Value) -> object:
    match value:
        case Known(value=constant):
            return constant
        case Tuple(parts=parts):
            return tuple(map(_plain, parts))
    raise _NotPlain


def _identical(left: Value, right: Value, *, negated: bool) -> bool | None:
    if UNKNOWN in (left, right) or any(isinstance(each, Outside) or each == UNKNOWN for each in (left, right)):
        return None
    if isinstance(left, Known) and isinstance(right, Known):
        return (left == right) is not negated
    one_is_none = Known(None) in (left, right)
    return negated if one_is_none and (left == SOMETHING or not isinstance(left, Known)) else None


def _contained(left: Value, right: Value, *, negated: bool) -> bool | None:
    match left, right:
        case Known(), Tuple(parts=parts) if all(isinstance(part, Known) for part in parts):
            return (left in parts) is not negated
        case Known(value=str(part)), Known(value=str(text)):
            return (part in text) is not negated
    return None


def _versions_compared(left: Value, operator: str, right: Value) -> bool | None:
    texts = [value.text if isinstance(value, Version) else _plain_text(value) for value in (left, right)]
    if None in texts or any(re.search(r"[a-z]", text.partition("+")[0].lstrip("v")) for text in texts if text):
        return None  # releases before and after the final one have rules of their own
    one, other = (_numbers(text or "") for text in texts)
    pairs = list(zip_longest(one, other, fillvalue=0))
    padded = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
    return bool(_OPERATORS[operator](*padded)) if operator in _OPERATORS else None


def _plain_text(value: Value) -> str | None:
    return value.value if isinstance(value, Known) and isinstance(value.value, str) else None


def _numbers(text: str) -> tuple[int, ...]:
    match = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in match[1].split(".")) if match else ()
