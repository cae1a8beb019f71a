"""What a name can hold while an import is simulated: a constant, a module, a function, or something not known."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Known:
    """A constant."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Tuple:
    """A tuple, list or set with known length."""

    parts: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Module:
    """A module, of the target or not."""

    name: str


@dataclass(frozen=True, slots=True)
class Outside:
    """What a module outside the target binds, by its dotted name."""

    name: str


@dataclass(frozen=True, slots=True)
class OwnFunction:
    """A function of the target, by its module and its position in the program."""

    module: str
    position: int


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a constant."""

    owner: "Value"
    name: str


@dataclass(frozen=True, slots=True)
class Version:
    """A parsed version; its text is kept for `base_version`."""

    text: str


@dataclass(frozen=True, slots=True)
class Something:
    """Anything that is not None: an instance, a class."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Anything at all. `bound` is False where the name may be unbound as well."""

    bound: bool = True


Value = Known | Tuple | Module | Outside | OwnFunction | Method | Version | Something | Unknown
UNKNOWN = Unknown()
PERHAPS = Unknown(bound=False)
NONE = Known(None)
SOMETHING = Something()


def merged(one: Value | None, other: Value | None) -> Value:
    """Return what a name holds after two branches; None stands for unbound."""
    if one == other and one is not None:
        return one
    if one is None or other is None or PERHAPS in (one, other):
        return PERHAPS
    if isinstance(one, Tuple) and isinstance(other, Tuple) and len(one.parts) == len(other.parts):
        return Tuple(tuple(merged(a, b) for a, b in zip(one.parts, other.parts, strict=True)))
    if truth(one) is True and truth(other) is True:
        return SOMETHING
    return UNKNOWN


def truth(value: Value) -> bool | None:
    """Return whether a value counts as true; None where that is not known."""
    match value:
        case Known(value=constant):
            return bool(constant)
        case Tuple(parts=parts):
            return bool(parts)
        case Unknown():
            return None
        case Outside(name="typing.TYPE_CHECKING") | Outside(name="typing_extensions.TYPE_CHECKING"):
            return False
        case Outside() | Something():
            return None
    return True


@dataclass(slots=True)
class Space:
    """The names of a module while it runs and afterwards. Where `open`, names may exist that are not seen."""

    names: dict[str, Value] = field(default_factory=dict)
    open: bool = False

    def copy(self) -> "Space":
        """Return a space that can change alone."""
        return Space(dict(self.names), self.open)

    def take(self, one: "Space", other: "Space") -> None:
        """Become what holds after two branches."""
        names = {
            name: merged(one.names.get(name), other.names.get(name))
            for name in dict.fromkeys((*one.names, *other.names))
        }
        self.names = names
        self.open = one.open or other.open
