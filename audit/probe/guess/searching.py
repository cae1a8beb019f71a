"""Tries arguments and forms on a class or function until a call gives what it should, the likeliest first."""

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import torch

from .. import devices, specs, time_left
from . import caches, gates, mask_claims, optional, trying
from .adapting import Form, NotFinite
from .constructing import Constructor, Path, Slots, lacks_setting, variations
from .conventions import SIZES, Sizes
from .forms import crossed, forms_of
from .furthest import Furthest
from .loading import Loaded
from .problems import NotGuessed, told
from .reading import Source, read
from .resorts import last_resorts
from .trying import Target
from .values import DEFAULT, python

_SECONDS = 40.0  # for all trials of one class
_SECONDS_OF_OPTION = 5.0
_PROCESSORS = {"processor", "attn_processor"}
_GROWTH = 80  # settings that a configuration of unknown class may turn out to need
_MAX_SUBJECTS = 13
# Neighbouring features share an angle: of a table that the call passes in each angle then stands twice in a row.
_NEIGHBOURS = re.compile(r"\[\.\.\., ?0?::2\][^\[]*\[\.\.\., ?1::2\]|unflatten\(-1, ?\(-1, ?2\)\)")
_ROTARY = re.compile(r"rotary|rotate_half|apply_rope|\brope\b|freqs_cis|view_as_complex", re.IGNORECASE)
_OTHER_POSITIONS = re.compile(r"nn\.Embedding|pos_embed\b|\bwpe\b|absolute|alibi|learned|relative_pos|rel_pos|sinusoid")
_SEVERAL_AXES = re.compile(r"[23]_?d\b|axial|grid|height|patch|pixel|frame|temporal|section|spatial", re.IGNORECASE)
_WITH_FRAMES = ("BCTHW", "BTHWC")
_ONE_FRAME = "it was called with one frame, and may attend over time: nothing would be tested"


@dataclass(frozen=True)
class Way:
    """One way in which a class is built and called; a function has no arguments to be built with."""

    module: torch.nn.Module | None
    arguments: Mapping[str, object]
    form: Form
    sizes: Sizes
    opened: list[str] = field(default_factory=list)
    defaults: Mapping[str, object] = field(default_factory=dict)


def namespace_of(value: object) -> Mapping[str, object]:
    """Return the names of the module that defines a class or function."""
    return vars(sys.modules[cast(str, getattr(value, "__module__", None))]) if _has_module(value) else {}


def _has_module(value: object) -> bool:
    return getattr(value, "__module__", None) in sys.modules


def ways_of_class(
    loaded: Loaded, path: str, seed: int, *, processor: type | None = None
) -> tuple[dict[str, Way], dict[str, str]]:
    """Return the ways by the subject's suffix, the usual one first, and why options could not be built.

    With a `processor`, which computes attention for the class, there is one way and perhaps that across: options are
    the class's, and tried with its own processor.
    """
    built = cast(type, loaded.value)
    source = read(built)
    deadline = time.monotonic() + time_left.for_trials(_SECONDS)
    if processor is not None:
        own = read(processor)
        source = replace(
            source,
            text=f"{source.text}\n{own.text}",
            documentation=f"{source.documentation}\n{own.documentation}",
            trees=(*source.trees, *own.trees),
        )
        constructor = Constructor(built, source, namespace_of(processor))
        given: dict[Path, object] = {("processor",): {"$call": processor.__qualname__, "arguments": {}}}
        usual = _search(constructor, given, path, seed, deadline)
        if usual.form["layout"] in _WITH_FRAMES and "temporal" in processor.__qualname__.lower():
            raise NotGuessed(_ONE_FRAME)  # a norm over the channels may let tokens reach one another all the same
        _check_batches(usual, constructor, path)
        ways = {"": usual, **dict(_across(usual, built, constructor, path, seed))}
        return {name: _with_known_mask(way) for name, way in ways.items()}, {}
    constructor = Constructor(built, source, namespace_of(built))
    usual = _search(constructor, {}, path, seed, deadline)
    ways = {"": usual}
    why_not: dict[str, str] = {}
    for option, values in list(constructor.options.items()):
        if "cross" in option[-1] and not usual.form.get("context_dim"):
            continue  # of what the usual call does not do
        taken = _value_at(usual.arguments, option)
        default = constructor.defaults.get(option[-1])
        for value in values:
            if value in (taken, default if taken is None else taken) or len(ways) >= _MAX_SUBJECTS:
                continue
            name = f"{option[-1]}={value}"
            try:
                until = min(deadline, time.monotonic() + _SECONDS_OF_OPTION)
                found = _search(constructor, {option: value}, path, seed, until, like=usual)
                if _value_at(found.arguments, option) == value:  # not where a configuration of another class was taken
                    ways[name] = found
            except NotGuessed as problem:
                why_not[name] = str(problem)
    ways |= dict(_across(ways[""], built, constructor, path, seed))
    return ways, why_not


def _check_batches(way: Way, constructor: Constructor, path: str) -> None:
    """Raise where other numbers of samples are refused: some processors take samples in pairs, without saying so.

    Raises:
        NotGuessed: they are.
    """
    assert way.module is not None
    target = _target(way.module, constructor.namespace, path)
    for batch in (1, 3):
        try:
            trying.answer(target, way.form, trying.inputs(way.form, way.sizes, batch=batch))
        except Exception as error:
            raise NotGuessed(f"it takes no batch of {batch}: {told(error, within=path)}") from error


def _with_known_mask(way: Way) -> Way:
    """Return a processor's way without a mask that hid nothing: the class takes it, and perhaps not the processor."""
    hides = "did not hide" not in str(way.form.get("why mask"))
    return way if hides else replace(way, form=way.form | {"mask": None, "why mask": None})


def ways_of_function(loaded: Loaded, path: str) -> tuple[dict[str, Way], dict[str, str]]:
    """Return the one way to call a function, in the form in which `ways_of_class` returns its ways."""
    function = cast(Callable[..., object], loaded.value)
    source = read(function)
    target = Target(function, function, namespace_of(function), path)
    name = getattr(function, "__qualname__", type(function).__qualname__)  # an operator of torch's has none
    worst = Furthest(time.monotonic() + time_left.for_trials(_SECONDS))
    tried = [
        (form, sizes)
        for sizes in SIZES[:3]
        for form in forms_of(function, source, sizes, has_layers=False)
        if form["canonical"] == "function"
    ]
    # Running sums, and what is but causal, take as many queries as keys; some take a flag that they refuse to be off.
    tried += [(form | {"uneven": False}, sizes) for form, sizes in tried if form["uneven"]]
    tried += [(always, sizes) for form, sizes in tried if (always := _always_causal(form))]
    for form, sizes in tried:
        if worst.is_over and worst.reason:
            raise NotGuessed(worst.why)
        try:
            fitted = trying.fitted(target, form, sizes)
            return {"": Way(None, {}, *_settled(target, fitted, source, sizes))}, {}
        except Exception as error:
            worst.note(1, f"{name} cannot be called: {told(error, within=path)}", sizes)
    raise NotGuessed(worst.reason or f"{name} does not take query, key and value by these names")


def _always_causal(form: Form) -> Form | None:
    """Return the form in which the flag for it is always on; None where there is no flag."""
    arguments = {key: {"const": True} if recipe == "causal" else recipe for key, recipe in form["arguments"].items()}
    return None if arguments == form["arguments"] else form | {"arguments": arguments}


def _across(way: Way, built: type, constructor: Constructor, path: str, seed: int) -> Iterator[tuple[str, Way]]:
    """Yield the way in which a module attends to a context, where it takes one of another length."""
    assert way.module is not None
    if way.form["canonical"] != "module" or way.form.get("context_dim"):
        return
    form = crossed(way.form, built.forward)  # type: ignore[attr-defined]
    if form is None:
        return
    target = _target(way.module, constructor.namespace, path)
    for width in (way.sizes.embed, way.sizes.context):
        try:
            found = trying.fitted(target, form | {"context_dim": width}, way.sizes)
            if not trying.is_moved_by(target, found, way.sizes, "context"):
                continue  # it takes a context for something else, or only where it is built otherwise
        except Exception:  # it does not attend to another sequence in this form, which is no defect
            continue
        masked, why = trying.with_mask(target, found, constructor.source, way.sizes)
        claims = mask_claims.claims(constructor.source, target.signature, masked["mask"])
        others = optional.listed(target, masked, constructor.source, way.sizes)
        more = {"why mask": why, "mask claims": claims, "optional": others, "cache": None, "why no cache": None}
        yield "cross", replace(way, form=masked | more)
        return


def _value_at(arguments: Mapping[str, object], path: Path) -> object:
    value: object = arguments
    for part in path:
        if isinstance(value, Mapping) and ("$settings" in value or "$call" in value):
            value = value.get("$settings", value.get("arguments"))
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _search(
    constructor: Constructor,
    options: Mapping[Path, object],
    path: str,
    seed: int,
    deadline: float,
    *,
    like: Way | None = None,
) -> Way:
    """Return the first way that works, the likeliest arguments first.

    Raises:
        NotGuessed: none does.
    """
    worst = Furthest(deadline)
    for classes, planned, vary in plans(constructor, like):
        sizes = worst.sizes or planned if vary else planned  # varied are those that came furthest
        slots = constructor.slots(sizes, classes)
        for option, value in options.items():
            slots[option] = [value]
        if like is not None:
            # Another processor is another mechanism, which may not know the option.
            for name in _PROCESSORS & {path[-1] for path in slots}:
                slots[(name,)] = [like.arguments.get(name, DEFAULT)]
        for choice in variations(slots) if vary else [{}]:
            if worst.is_over:
                raise NotGuessed(worst.why)
            way = _attempt(constructor, slots, choice, sizes, path, seed, worst)
            if way:
                return way
    if worst.stage > 0 and like is None:
        classes, _, _ = next(plans(constructor, like))
        for slots, sizes in last_resorts(constructor, classes, worst.reason, seed):
            way = _attempt(constructor, slots, {}, sizes, path, seed, worst)
            if way:
                return way
    raise NotGuessed(worst.why)


def plans(constructor: Constructor, like: Way | None) -> Iterator[tuple[dict[str, str | None], Sizes, bool]]:
    """Yield classes of the configurations, sizes, and whether to vary one argument at a time."""
    many: list[dict[str, str | None]] = [dict.fromkeys(constructor.configs)]
    for name, classes in constructor.configs.items():
        many = [{**choice, name: found} for found in classes for choice in many][:4]
    order = (
        (*constructor.own_sizes, *SIZES)
        if like is None
        else (like.sizes, *(other for other in SIZES if other != like.sizes and other.heads > 1))
    )
    for each in many:
        yield from ((each, sizes, False) for sizes in order[:3])
    for each in many:
        yield each, order[0], True
        yield from ((each, sizes, False) for sizes in order[3:])


def _attempt(
    constructor: Constructor,
    slots: Slots,
    choice: Mapping[Path, int],
    sizes: Sizes,
    path: str,
    seed: int,
    worst: Furthest,
) -> Way | None:
    """Build with these arguments and call in each form; a configuration of unknown class grows until it is enough."""
    name = constructor.built.__qualname__
    for _ in range(_GROWTH):
        made: dict[str, object] = {}
        stage = 0
        try:
            arguments = constructor.assembled(slots, choice)
            made = {key: constructor.decode(value) for key, value in arguments.items()}
            specs.seed_everything(seed)
            module = constructor.built(**made)
            module.eval()  # not in one line: a class of its own may return nothing
            devices.placed_module(module)
            stage = 1
            return _called(module, arguments, constructor, sizes, path, worst)
        except Exception as error:  # whatever the target raises: the next attempt may do better
            if not worst.is_over and constructor.grown(slots, made, error, sizes):
                continue
            shown = ", ".join(f"{key}={python(value)}" for key, value in arguments.items())[:300]
            what = f"{name}({shown}) cannot be built" if stage == 0 else f"{name}({shown}) cannot be called"
            # One that answered, though with no number, came further than one that refused its input.
            worst.note(stage + isinstance(error, NotFinite), f"{what}: {told(error, within=path)}", sizes)
            return None
    return None


def _target(module: torch.nn.Module, namespace: Mapping[str, object], path: str) -> Target:
    return Target(module, module.forward, namespace, path)


def _called(
    module: torch.nn.Module,
    arguments: Mapping[str, object],
    constructor: Constructor,
    sizes: Sizes,
    path: str,
    worst: Furthest,
) -> Way:
    """Return the first form in which the module can be called.

    Raises:
        Exception: what the first form raised, where none works.
    """
    source = constructor.source
    target = _target(module, constructor.namespace, path)
    has_layers = any(p.dim() > 1 for p in module.parameters())
    first: Exception | None = None
    width = next(
        (p.name for p in constructor.parameters if p.name in arguments and arguments[p.name] == sizes.context), None
    )
    for form in forms_of(module.forward, source, sizes, has_layers=has_layers):
        if first is not None and worst.is_over:
            break
        across = "context" in form["arguments"].values()
        for trial in [form, *([form | {"context_dim": sizes.context if width else sizes.embed}] if across else [])]:
            try:
                fitted = trying.fitted(target, trial, sizes)
                opened = _opened(module, target, fitted, sizes)
                if fitted["layout"] in _WITH_FRAMES and not trying.attends(target, fitted, sizes):
                    fitted = _over_frames(target, fitted, sizes)
                form, sizes = _settled(target, fitted, source, sizes)
                return Way(module, arguments, form, sizes, opened, constructor.defaults)
            except Exception as error:
                if lacks_setting(error):
                    raise
                if first is None or _is_about_axes(first):
                    first = error
    raise first or NotGuessed("it takes no input")


def _over_frames(target: Target, form: Form, sizes: Sizes) -> Form:
    """Return the form in which each position is a frame of one pixel.

    Raises:
        NotGuessed: no frame reaches another in it either.
    """
    layout = {"BCTHW": "BCL11", "BTHWC": "BL11C"}[form["layout"]]
    try:
        found = trying.fitted(target, form | {"layout": layout, "out": layout}, sizes)
        if trying.attends(target, found, sizes):
            return found
    except Exception as error:  # it takes images of some size only
        raise NotGuessed(_ONE_FRAME) from error
    raise NotGuessed(_ONE_FRAME)


def _opened(module: torch.nn.Module, target: Target, form: Form, sizes: Sizes) -> list[str]:
    """Open the gates of a module in which no token reaches another; return the names of those that let one through."""
    names = gates.closed(module)
    if not names or trying.attends(target, form, sizes):
        return []
    gates.open_(module, names)
    return names


def _is_about_axes(error: Exception) -> bool:
    """Whether a call stopped at the number of axes: that tells least of all, for other layouts have other numbers."""
    return "values to unpack" in str(error) or "number of dimensions" in str(error)


def _settled(target: Target, found: Form, source: Source, sizes: Sizes) -> tuple[Form, Sizes]:
    """Return a form that was fitted, with all that trials find of it."""
    if (
        found["layout"] == "BLC"
        and not found["said"]
        and found["canonical"] == "module"
        and not found.get("context_dim")
    ):
        other = found | {"layout": "LBC", "out": "LBC"}
        if trying.mixes_batch(target, found, sizes) and not trying.mixes_batch(target, other, sizes):
            found = other
    if found["canonical"] == "function":
        found = found | {"kv_heads": trying.grouped(target, found, sizes)}
        if "causal" in found["arguments"].values() and found["uneven"]:
            found = found | {"alignment": trying.alignment(target, found, sizes)}
    works, reason = trying.lengths(target, found, sizes)
    masked, why = trying.with_mask(target, found, source, sizes)
    masked, why_no_cache = caches.with_cache(target, masked, source, sizes)
    told_of = {"why not other lengths": reason, "why mask": why, "why no cache": why_no_cache}
    more = {
        "mask claims": mask_claims.claims(source, target.signature, masked["mask"]),
        "optional": optional.listed(target, masked, source, sizes),
        "rope pairs": "neighbours" if _NEIGHBOURS.search(source.code) else "halves",
        "rotary": bool(_ROTARY.search(source.text)) and not _OTHER_POSITIONS.search(source.text),
        "several axes": bool(_SEVERAL_AXES.search(source.text)),  # which a position among the tokens does not tell
    }
    return masked | {"lengths": [trying.LENGTH, *works]} | told_of | more, sizes
