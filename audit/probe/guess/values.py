"""Arguments as plain data, so that the same object can be built again in another process, and shown as Python.

What is not plain is a dict with one key that begins with `$`: `{"$call": expression, "arguments": {...}, "set": {...}}`
calls a name of the target's module, `{"$name": "torch.nn.GELU"}` is one of torch's, `{"$settings": {...}}` an object
with these attributes, which are also its items, and `{"$tuple": [...]}` a tuple, which JSON does not know.
"""

from collections.abc import Mapping

import torch

# In the place of a value: the argument is left out, and has its default.
DEFAULT: Mapping[str, object] = {"$default": True}


class Settings(dict[str, object]):
    """A configuration of which nothing is known but what is read of it: attributes and items are the same."""

    def __getattr__(self, name: str) -> object:
        """Return an item as attribute; what is absent is told by its name."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the configuration has no {name!r}", name=name, obj=self) from None

    def __setattr__(self, name: str, value: object) -> None:
        """Set an item as attribute."""
        self[name] = value

    def to_dict(self) -> dict[str, object]:
        """Return the items."""
        return dict(self)


def decoded(value: object, namespace: Mapping[str, object]) -> object:
    """Return the object that `value` stands for; names are looked up in the target's module."""
    if isinstance(value, list):
        return [decoded(item, namespace) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "$tuple" in value:
        return tuple(decoded(item, namespace) for item in value["$tuple"])
    if "$settings" in value:
        return Settings({key: decoded(item, namespace) for key, item in value["$settings"].items()})
    if "$name" in value:
        found: object = {"torch": torch}
        first, *rest = str(value["$name"]).split(".")
        found = torch if first == "torch" else namespace[first]
        for part in rest:
            found = getattr(found, part)
        return found
    if "$call" in value:
        factory = decoded({"$name": value["$call"]}, namespace)
        arguments = {key: decoded(item, namespace) for key, item in value["arguments"].items()}
        made = factory(**arguments)  # type: ignore[operator]
        for key, item in value.get("set", {}).items():
            setattr(made, key, item)
        return made
    return {key: decoded(item, namespace) for key, item in value.items()}


def python(value: object) -> str:
    """Return the expression that makes the object which `value` stands for."""
    if isinstance(value, list):
        return f"[{', '.join(python(item) for item in value)}]"
    if not isinstance(value, Mapping):
        return repr(value)
    if "$tuple" in value:
        return f"({', '.join(python(item) for item in value['$tuple'])})"
    if "$settings" in value:
        return f"SimpleNamespace({_keywords(value['$settings'])})"
    if "$name" in value:
        return str(value["$name"])
    if "$call" in value:
        return f"{value['$call']}({_keywords(value['arguments'])})"
    return f"{{{', '.join(f'{key!r}: {python(item)}' for key, item in value.items())}}}"


def _keywords(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={python(item)}" for key, item in arguments.items())
