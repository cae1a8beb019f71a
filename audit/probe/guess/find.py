"""Finds how a class or function is built and called: arguments and forms are tried until a call gives what it should.

Each reply holds what the probe needs to do the same again, so that one process may find and others run.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import torch

from .. import specs
from ..phases import phase
from . import gates, trying
from .adapting import Form
from .constructing import Constructor, Path, Slots, lacks_setting, variations
from .contracts import inferred
from .conventions import SIZES, Sizes
from .forms import crossed, forms_of
from .loading import Loaded, load
from .problems import NotGuessed, told
from .reading import Source, is_module_class, parameters_of, read
from .trying import Target
from .values import python

_SECONDS = 40.0  # for all trials of one class
_SECONDS_OF_OPTION = 5.0
_GROWTH = 80  # settings that a configuration of unknown class may turn out to need
_MAX_SUBJECTS = 13


@dataclass(frozen=True)
class Way:
    """One way in which a class is built and called; a function has no arguments to be built with."""

    module: torch.nn.Module | None
    arguments: Mapping[str, object]
    form: Form
    sizes: Sizes
    opened: list[str] = field(default_factory=list)
    defaults: Mapping[str, object] = field(default_factory=dict)


@dataclass
class _Worst:
    """The reason to tell where nothing works: that of the attempt that came furthest, the first among those."""

    stage: int = -1
    reason: str = ""
    sizes: Sizes | None = None

    def note(self, stage: int, reason: str, sizes: Sizes) -> None:
        if stage > self.stage:
            self.stage, self.reason, self.sizes = stage, reason, sizes


def find(path: str, module: str | None, qualname: str, seed: int) -> dict[str, object]:
    """Return how the class or function `qualname` of the file at `path` is built and called, and what it promises.

    Args:
        path: of its file, absolute.
        module: the file's dotted name in the package; None outside one.
        qualname: of the class or function.
        seed: of the weights.

    Returns:
        `problem` (one line, or None), `kind`, `declared`, `parameters`, `loaded`, `signature` and the `subjects`, each
        with its `choices`, which `callee_of` takes, `contract`, `inferred_from`, `arguments`, `call`, and the `lengths`
        that it was called with; `choices["opened"]` names the parameters that begin as zero and were given numbers, for
        nothing shows behind them; `not_built` says why options are none of them. `path`, `module` and `qualname` are
        those that were asked for.
    """
    reply: dict[str, object] = {
        "problem": None,
        "kind": "module",
        "declared": f"{module or ''}:{qualname}",
        "parameters": None,
        "subjects": [],
        "loaded": None,
        "signature": {},
        "not_built": {},
        "path": path,
        "module": module,
        "qualname": qualname,
    }
    try:
        with phase("import"):
            loaded = load(path, module, qualname)
        value = loaded.value
        reply |= {"loaded": loaded.how, "declared": _declared(value, qualname), "signature": _signature(value)}
        if isinstance(value, type) and not is_module_class(value):
            what = (
                "a torch.autograd.Function" if issubclass(value, torch.autograd.Function) else "not a torch.nn.Module"
            )
            raise NotGuessed(f"{qualname} is {what}: nothing says how it is called")
        if not callable(value):
            raise NotGuessed(f"{qualname} is neither a class nor a function")
        ways, why_not = (
            _ways_of_class(loaded, path, seed) if is_module_class(value) else _ways_of_function(loaded, path)
        )
        subjects = [_described(name, way, loaded, path) for name, way in ways.items()]
        main = next(iter(ways.values()))
        reply |= {"subjects": subjects, "kind": main.form["canonical"], "not_built": why_not}
        if main.module is not None:
            reply["parameters"] = sum(p.numel() for p in main.module.parameters())
    except NotGuessed as problem:
        reply["problem"] = str(problem)
    return reply


def _declared(value: object, qualname: str) -> str:
    return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', qualname)}"


def _signature(value: object) -> dict[str, object]:
    """Return the arguments of the constructor (of a class) and of the call, each as it is written."""
    functions = (
        {"build": value, "call": getattr(value, "forward", None)} if isinstance(value, type) else {"call": value}
    )
    found: dict[str, object] = {}
    for key, function in functions.items():
        if callable(function):
            try:
                named = [str(each) for each in parameters_of(function) if each.name != "self"]
            except (TypeError, ValueError):  # built in
                continue
            found[key] = named
    return found


def namespace_of(value: object) -> Mapping[str, object]:
    """Return the names of the module that defines a class or function."""
    return vars(sys.modules[cast(str, getattr(value, "__module__", None))]) if _has_module(value) else {}


def _has_module(value: object) -> bool:
    return getattr(value, "__module__", None) in sys.modules


def _ways_of_class(loaded: Loaded, path: str, seed: int) -> tuple[dict[str, Way], dict[str, str]]:
    """Return the ways by the subject's suffix, the usual one first, and why options could not be built."""
    built = cast(type, loaded.value)
    source = read(built)
    constructor = Constructor(built, source, namespace_of(built))
    deadline = time.monotonic() + _SECONDS
    usual = _search(constructor, {}, path, seed, deadline)
    ways = {"": usual}
    why_not: dict[str, str] = {}
    for option, values in list(constructor.options.items()):
        if "cross" in option[-1] and not usual.form.get("context_dim"):
            continue  # of what the usual call does not do
        taken = _value_at(usual.arguments, option)
        default = next((p.default for p in constructor.parameters if (p.name,) == option), None)
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
        yield "cross", replace(way, form=masked | {"why mask": why})
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
    worst = _Worst()
    for classes, planned, vary in _plans(constructor, like):
        sizes = worst.sizes or planned if vary else planned  # varied are those that came furthest
        slots = constructor.slots(sizes, classes)
        for option, value in options.items():
            slots[option] = [value]
        for choice in variations(slots) if vary else [{}]:
            if time.monotonic() > deadline:
                raise NotGuessed(f"{worst.reason or 'nothing was tried'} (the time for trials was up)")
            way = _attempt(constructor, slots, choice, sizes, path, seed, worst)
            if way:
                return way
    raise NotGuessed(worst.reason or "nothing could be tried")


def _plans(constructor: Constructor, like: Way | None) -> Iterator[tuple[dict[str, str | None], Sizes, bool]]:
    """Yield classes of the configurations, sizes, and whether to vary one argument at a time."""
    many: list[dict[str, str | None]] = [dict.fromkeys(constructor.configs)]
    for name, classes in constructor.configs.items():
        many = [{**choice, name: found} for found in classes for choice in many][:4]
    order = SIZES if like is None else (like.sizes, *(other for other in SIZES if other != like.sizes))
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
    worst: _Worst,
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
            stage = 1
            return _called(module, arguments, constructor, sizes, path, worst)
        except Exception as error:  # whatever the target raises: the next attempt may do better
            if constructor.grown(slots, made, error, sizes):
                continue
            shown = ", ".join(f"{key}={python(value)}" for key, value in arguments.items())[:300]
            what = f"{name}({shown}) cannot be built" if stage == 0 else f"{name}({shown}) cannot be called"
            worst.note(stage, f"{what}: {told(error, within=path)}", sizes)
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
    worst: _Worst,
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
        across = "context" in form["arguments"].values()
        for trial in [form, *([form | {"context_dim": sizes.context if width else sizes.embed}] if across else [])]:
            try:
                fitted = trying.fitted(target, trial, sizes)
                opened = _opened(module, target, fitted, sizes)
                form, sizes = _settled(target, fitted, source, sizes)
                return Way(module, arguments, form, sizes, opened, constructor.defaults)
            except Exception as error:
                if lacks_setting(error):
                    raise
                if first is None or _is_about_axes(first):
                    first = error
    raise first or NotGuessed("it takes no input")


def _is_about_axes(error: Exception) -> bool:
    """Whether a call stopped at the number of axes: that tells least of all, for other layouts have other numbers."""
    return "values to unpack" in str(error) or "number of dimensions" in str(error)


def _opened(module: torch.nn.Module, target: Target, form: Form, sizes: Sizes) -> list[str]:
    """Open the gates of a module in which no token reaches another; return the names of those that let one through."""
    names = gates.closed(module)
    if not names or trying.attends(target, form, sizes):
        return []
    gates.open_(module, names)
    return names


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
        if "causal" in found["arguments"].values():
            found = found | {"alignment": trying.alignment(target, found, sizes)}
    works, reason = trying.lengths(target, found, sizes)
    masked, why = trying.with_mask(target, found, source, sizes)
    return masked | {"lengths": [trying.LENGTH, *works], "why not other lengths": reason, "why mask": why}, sizes


def _ways_of_function(loaded: Loaded, path: str) -> tuple[dict[str, Way], dict[str, str]]:
    function = cast(Callable[..., object], loaded.value)
    source = read(function)
    target = Target(function, function, namespace_of(function), path)
    worst = _Worst()
    for sizes in SIZES[:3]:
        for form in forms_of(function, source, sizes, has_layers=False):
            if form["canonical"] != "function":
                continue
            try:
                fitted = trying.fitted(target, form, sizes)
                return {"": Way(None, {}, *_settled(target, fitted, source, sizes))}, {}
            except Exception as error:
                worst.note(1, f"{function.__qualname__} cannot be called: {told(error, within=path)}", sizes)
    raise NotGuessed(worst.reason or f"{loaded.value.__qualname__} does not take query, key and value by these names")  # type: ignore[attr-defined]


def _described(name: str, way: Way, loaded: Loaded, path: str) -> dict[str, object]:
    """Return a subject as plain data."""
    form, sizes = way.form, way.sizes
    source = read(loaded.value)
    function = cast(Callable[..., object], loaded.value if way.module is None else way.module)
    target = Target(function, function, namespace_of(loaded.value), path)
    try:
        future = None if form.get("context_dim") else trying.future_share(target, form, sizes)
    except Exception:  # a function may need fewer queries than keys, or the other way round
        future = None
    named = str(getattr(loaded.value, "__qualname__", ""))
    contract, why = inferred(
        way.module, named, source, {**way.defaults, **_flat(way.arguments)}, form, sizes, future=future
    )
    if form.get("context_dim"):
        contract["context_dim"] = form["context_dim"]
        contract.pop("is_causal", None)
        why.pop("is_causal", None)
    if form.get("why mask"):
        why["key_mask"] = form["why mask"]
    subject: dict[str, object] = {
        "name": name,
        "choices": {"arguments": dict(way.arguments), "form": form, "opened": way.opened},
        "contract": contract,
        "inferred_from": why,
        "arguments": {key: python(value) for key, value in way.arguments.items()},
        "call": _call_line(form, way, named),
        "lengths": form.get("lengths", []),
    }
    return subject


def _flat(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return arguments and the fields of configurations among them, by their last name."""
    found: dict[str, object] = {}
    for key, value in arguments.items():
        if isinstance(value, Mapping):
            inner = value.get("$settings", value.get("arguments"))
            found |= _flat(inner) if isinstance(inner, Mapping) else {}
        else:
            found[key] = value
    return found


def _call_line(form: Form, way: Way, name: str) -> str:
    callee = name if way.module is None else "module"
    shown = {key: _shown(recipe, form) for key, recipe in form["arguments"].items()}
    if form["mask"] and form["mask"]["parameter"]:
        shown[form["mask"]["parameter"]] = "key_mask"
    inside = ", ".join(value if key in form["positional"] else f"{key}={value}" for key, value in shown.items())
    picks = (part if str(part).startswith(".") else f"[{part!r}]" for part in form["pick"])
    return f"{callee}({inside}){''.join(picks)}"


def _shown(recipe: object, form: Form) -> str:
    if isinstance(recipe, Mapping):
        if "const" in recipe:
            return python(recipe["const"])
        return "{" + ", ".join(f"{key!r}: {_shown(item, form)}" for key, item in recipe["dict"].items()) + "}"
    names = {"hidden": "hidden_states", "kept": "key_mask", "causal": "is_causal"}
    return names.get(str(recipe), str(recipe).replace(" ", "_"))
