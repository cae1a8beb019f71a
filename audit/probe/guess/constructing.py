"""Arguments for a constructor: by name, annotation and default; configurations are filled field by field.

A slot is a place for a value, a path such as `("num_heads",)` or `("config", "n_head")`, with the values that may go
there, the most likely first. What a configuration of unknown class must hold is learnt from what is read of it.
"""

import enum
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch

from . import conventions
from .conventions import CONFIG_NAMES, Sizes
from .reading import Source, parameters_of, string_options
from .values import DEFAULT, Settings, decoded

Path = tuple[str, ...]
Slots = dict[Path, list[object]]
_CONFIG_CLASS = re.compile(r"(Config|Configuration|Args|Arguments|Params|Settings|HParams|Options)$")
_IDENTITY = {"$call": "torch.nn.Identity", "arguments": {}}
_UNSET = inspect.Parameter.empty
_MAX_CLASSES = 3
# Parts of a configuration that hold others.
_SECTIONS = {"model", "attention", "attn", "transformer", "encoder", "decoder", "network", "net", "architecture"}
CAUSAL = re.compile(
    r"^(is_)?causal$|^autoregressive$|^use_causal(_mask)?$|^causal_mask$|^mask_future$|^causal_attention$"
)


@dataclass
class Constructor:
    """How a class is built. `configs` names, for each argument that is a configuration, the classes to try."""

    built: type
    source: Source
    namespace: Mapping[str, object]
    parameters: list[inspect.Parameter] = field(default_factory=list)
    configs: dict[str, list[str | None]] = field(default_factory=dict)
    options: dict[Path, tuple[object, ...]] = field(default_factory=dict)
    _texts: dict[Path, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the signature."""
        self.parameters = list(_all_parameters(self.built))
        for each in self.parameters:
            classes = list(self._config_classes(each))
            name = each.name.lower()
            required = each.default is _UNSET
            if classes or name in CONFIG_NAMES or (required and name.endswith(("_config", "_cfg"))):
                self.configs[each.name] = [*classes[:_MAX_CLASSES], None]

    @cached_property
    def lengthy_block(self) -> bool:
        """Whether `block_size` is the maximal length: a triangular mask is made, or a config says it as GPT's do."""
        return bool(re.search(r"\btril\b|\btriu\b|is_causal", self.source.text)) or bool(self.configs)

    def slots(self, sizes: Sizes, classes: Mapping[str, str | None]) -> Slots:
        """Return the slots of the arguments; `classes` chooses the class of each configuration, None the unknown."""
        found: Slots = {}
        for each in self.parameters:
            if each.name in self.configs:
                chosen = classes.get(each.name)
                found[(each.name,)] = [{"$call": chosen, "arguments": {}} if chosen else {"$settings": {}}]
                if chosen:
                    for of_field in _all_parameters(typing.cast(type, decoded({"$name": chosen}, self.namespace))):
                        values = self._values(of_field, sizes, (each.name, of_field.name))
                        if values:
                            found[(each.name, of_field.name)] = values
            else:
                values = self._values(each, sizes, (each.name,))
                if values:
                    found[(each.name,)] = values
        return found

    def assembled(self, slots: Slots, chosen: Mapping[Path, int]) -> dict[str, object]:
        """Return the arguments, as plain data, with the chosen value in each slot; the first where none is chosen."""
        arguments: dict[str, object] = {}
        for path, values in slots.items():
            value = values[chosen.get(path, 0)]
            if value is DEFAULT:
                continue
            if isinstance(value, Mapping):
                value = {key: dict(item) if isinstance(item, Mapping) else item for key, item in value.items()}
            place = arguments
            for part in path[:-1]:
                inner = place[part]
                if not isinstance(inner, dict):  # what grew below another choice than this one
                    break
                place = inner["$settings" if "$settings" in inner else "arguments"]
            else:
                place[path[-1]] = value
        for name, classes in self.configs.items():
            made = typing.cast(dict[str, object], arguments[name])
            known = decoded({"$name": made["$call"]}, self.namespace) if classes and "$call" in made else None
            if hasattr(known, "_attn_implementation"):
                made["set"] = {"_attn_implementation": "eager"}
        return arguments

    @cached_property
    def defaults(self) -> dict[str, object]:
        """The defaults of the class's own arguments, and of the fields of the configurations that it may have."""
        found = {each.name: each.default for each in self.parameters if each.default is not _UNSET}
        for classes in self.configs.values():
            for name in classes[:1]:
                if name is not None:
                    made = typing.cast(type, self.decode({"$name": name}))
                    found |= {p.name: p.default for p in _all_parameters(made) if p.default is not _UNSET}
        return found

    @cached_property
    def own_sizes(self) -> tuple[Sizes, ...]:
        """Sizes that go with the width that a constant of the target's module gives its layers; none without one."""
        kinds = {conventions.kind_of(each.name, lengthy_block=False) for each in self.parameters}
        if "embed" in kinds or self.configs:
            return ()
        known = {"embed": 0, "heads": 0}
        for name, value in self.namespace.items():
            kind = conventions.kind_of(name, lengthy_block=False)
            if kind in known and type(value) is int and value > 0 and re.search(rf"\b{name}\b", self.source.text):
                known[kind] = value
        width, heads = known["embed"], known["heads"]
        numbers = [heads] if heads else [number for number in (6, 4, 2) if width % number == 0][:1]
        return tuple(
            Sizes(width, number, number, width // number, width)
            for number in (*numbers, 1)
            if width and width % number == 0
        )

    def decode(self, value: object) -> object:
        """Return the object that an argument's plain data stands for."""
        return decoded(value, self.namespace)

    def grown(self, slots: Slots, made: Mapping[str, object], error: BaseException, sizes: Sizes) -> bool:
        """Add the slot of what a configuration of unknown class lacked; return whether that explains the error."""
        if lacks_setting(error):
            assert isinstance(error, AttributeError)
            at = _path_to(error.obj, made, ())
            name = str(error.name)
        elif isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
            name = error.args[0]
            at = next((p for p in _settings_paths(made) if (*p, name) not in slots), None)
        else:
            return False
        if at is None or (*at, name) in slots or name.startswith("__"):
            return False
        slots[(*at, name)] = self._of_settings(name, sizes, (*at, name))
        return True

    def _of_settings(self, name: str, sizes: Sizes, path: Path) -> list[object]:
        parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
        lower = name.lower()
        if lower in CONFIG_NAMES | _SECTIONS or lower.endswith(("config", "_cfg")):
            return [{"$settings": {}}]
        known = conventions.scalar_of(name) or conventions.kind_of(name, lengthy_block=self.lengthy_block)
        values = self._values(parameter, sizes, path)
        return values if known else [*values, {"$settings": {}}]

    def _values(self, each: inspect.Parameter, sizes: Sizes, path: Path) -> list[object]:
        """Return the values of an argument; none where its default is kept."""
        if len(path) == 1 and each.name in conventions.SIDES and self._has_sides:
            return [conventions.SIDES[each.name]]
        required = each.default is _UNSET
        options = self._options_of(each, path)
        if options and (required or isinstance(each.default, str) or (each.default is None and len(path) == 1)):
            self.options[path] = options
        if (
            isinstance(each.default, bool)
            and CAUSAL.search(each.name)
            and re.search(rf"\b{each.name}\b", self.source.text)
        ):
            self.options[path] = (not each.default,)
        fixed = conventions.scalar_of(each.name)
        if fixed and (required or each.name == "batch_first"):
            return list(fixed)
        if fixed and each.default is None and fixed[0] is not None:
            # A layer without a number has no place in a cache.
            return [*fixed, DEFAULT] if each.name in ("layer_idx", "layer_id", "layer_index") else [DEFAULT, *fixed]
        kind = conventions.kind_of(each.name, lengthy_block=self.lengthy_block)
        if kind == "embed" and _annotated(each, float, bool, str):
            kind = None
        if kind and not required:
            values = conventions.candidates(kind, sizes)
            known = [value for value in values if value != each.default]
            if kind == "length" and values[:1] == [each.default]:
                return [DEFAULT, *known]  # the first to be tried is what it has; another is shorter than some inputs
            if conventions.overrides_default(kind, each.default):
                return [*known, DEFAULT]
            return [DEFAULT, *known] if kind in ("window", "image") and not isinstance(each.default, bool) else []
        if kind and not (options and _annotated(each, str)):
            return conventions.candidates(kind, sizes)
        if each.name in ("processor", "attn_processor"):
            made = ({"$call": name, "arguments": {}} for name in self._processors())
            return [None if required else DEFAULT, *made] if each.default is None or required else []
        if required:
            return _by_type(each, options, sizes)
        return [DEFAULT, {"$name": "torch.nn.LayerNorm"}] if each.default is None and "norm_layer" in each.name else []

    @property
    def _has_sides(self) -> bool:
        """Whether it takes height and width, so that a width is not that of the features."""
        return conventions.SIDES.keys() <= {each.name for each in self.parameters}

    def _processors(self) -> list[str]:
        """Return the classes of the target's module that compute attention for another one, the nearest name first."""
        named = [n for n, value in self.namespace.items() if n.endswith("Processor") and isinstance(value, type)]
        return sorted(named, key=lambda name: -_common(name, self.built.__name__))[:_MAX_CLASSES]

    def _options_of(self, each: inspect.Parameter, path: Path) -> tuple[str, ...]:
        """Return the texts that an argument may be; what annotates a configuration's field is not the class's word."""
        if path not in self._texts:
            annotation = each.annotation if len(path) == 1 else ""
            is_text = isinstance(each.default, str) or _annotated(each, str) or "str" in str(annotation).split(" | ")
            self._texts[path] = string_options(self.source, each.name, annotation, self.namespace, is_text=is_text)
        return self._texts[path]

    def _config_classes(self, each: inspect.Parameter) -> Iterator[str]:
        """Yield expressions for the classes that a configuration may have, as the target's module names them."""
        for annotated in classes_in(each.annotation, self.namespace):
            name = next((n for n, value in self.namespace.items() if value is annotated), None)
            if name and _is_config(annotated, each.name):
                yield name
        if each.name.lower() not in CONFIG_NAMES or each.annotation is not _UNSET:
            return
        named = [
            name
            for name, value in self.namespace.items()
            if isinstance(value, type) and _CONFIG_CLASS.search(name) and _is_config(value, each.name)
        ]
        own = self.built.__name__
        yield from sorted(named, key=lambda name: -_common(name, own))


def lacks_setting(error: BaseException) -> bool:
    """Whether an error says that a configuration of unknown class lacks an attribute."""
    return isinstance(error, AttributeError) and isinstance(error.obj, Settings)


def variations(slots: Slots) -> Iterator[dict[Path, int]]:
    """Yield the choice of all first values, and then, with what grew meanwhile, those in which one slot has another."""
    yield {}
    for path, values in list(slots.items()):
        for index in range(1, len(values)):
            yield {path: index}


def _common(first: str, second: str) -> int:
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def _all_parameters(of: type) -> Iterator[inspect.Parameter]:
    """Yield the named parameters of a class, and those of its bases where it passes its arguments on."""
    seen: set[str] = set()
    for each in of.__mro__:
        if each is of:
            try:
                found = parameters_of(of)
            except (TypeError, ValueError):  # built in, or no signature
                return
        elif "__init__" in vars(each) and each is not object and each is not torch.nn.Module:
            found = parameters_of(vars(each)["__init__"])[1:]
        else:
            continue
        for parameter in found:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) and parameter.name not in seen:
                seen.add(parameter.name)
                yield parameter
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in found) or each.__name__.endswith("Config"):
            return


def classes_in(annotation: object, namespace: Mapping[str, object]) -> Iterator[type]:
    """Yield the classes that an annotation names; as a text it is looked up in the target's module."""
    if isinstance(annotation, str):
        annotation = namespace.get(annotation.strip("'\" ").partition("[")[0])
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        for each in typing.get_args(annotation):
            yield from classes_in(each, namespace)
    elif isinstance(annotation, type) and not typing.get_args(annotation):
        yield annotation


def _is_config(value: type, argument: str) -> bool:
    """Whether a class is one that holds settings: none of Python's or torch's own, no module, no choice of names."""
    if value.__module__.partition(".")[0] in ("builtins", "torch", "typing", "collections", "numpy", "pathlib"):
        return False
    if issubclass(value, torch.nn.Module | torch.Tensor | enum.Enum | Callable):
        return False
    return (
        bool(_CONFIG_CLASS.search(value.__name__))
        or argument.lower() in CONFIG_NAMES
        or hasattr(value, "__dataclass_fields__")
    )


def _annotated(each: inspect.Parameter, *kinds: type) -> bool:
    return each.annotation in kinds or each.annotation in [kind.__name__ for kind in kinds]


def _by_type(each: inspect.Parameter, options: tuple[str, ...], sizes: Sizes) -> list[object]:
    """Return the values of a required argument whose name is no convention."""
    name, annotation = each.name.lower(), str(each.annotation)
    if options:
        return list(options)
    if _annotated(each, bool) or re.match(r"(is|use|with|has|add|enable|do)_|.*(causal|flash|_norm$)", name):
        return [False, True]
    if name.endswith("bias"):
        return [True, False]
    if "None" in annotation or "Optional" in annotation:
        return [None, sizes.embed]
    if _annotated(each, float) or "scale" in name or "temperature" in name or "alpha" in name:
        return [sizes.head_dim**-0.5 if "scale" in name else 1.0, 0.0, 1]
    if _annotated(each, int):
        return [4, sizes.heads, sizes.embed, 1]
    if _annotated(each, str):
        return ["gelu", "none"]
    if "norm" in name:
        return [{"$name": "torch.nn.LayerNorm"}, None, _IDENTITY]
    if name.startswith("act") or "activation" in name:
        return [{"$name": "torch.nn.GELU"}, "gelu", {"$name": "torch.nn.functional.gelu"}]
    if "Module" in annotation or "Callable" in annotation:
        return [_IDENTITY, {"$name": "torch.nn.Identity"}]
    return [sizes.embed, sizes.heads, None, False, 1]


def _path_to(wanted: object, made: Mapping[str, object], at: Path) -> Path | None:
    for name, value in made.items():
        if value is wanted:
            return (*at, name)
        if isinstance(value, Settings):
            found = _path_to(wanted, value, (*at, name))
            if found:
                return found
    return None


def _settings_paths(made: Mapping[str, object], at: Path = ()) -> Iterator[Path]:
    for name, value in made.items():
        if isinstance(value, Settings):
            yield (*at, name)
            yield from _settings_paths(value, (*at, name))
