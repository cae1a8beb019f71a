"""Finds how a whole model is built and fed, where no specs say it, and makes of that an entry as specs would have it.

A model need not keep the shape of what it is given, as an attention does: it works where it gives finite tensors, one
for each sample.
"""

import functools
import inspect
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from .. import specs, time_left
from ..outputs import flatten
from ..phases import phase
from .constructing import Constructor, Slots, classes_in, lacks_setting, variations
from .conventions import SIZES, Sizes
from .feeding import feeds_of, inputs_by, shown
from .furthest import Furthest
from .loading import load
from .problems import NotGuessed, told
from .reading import is_module_class, parameters_of, read
from .searching import namespace_of, plans
from .values import DEFAULT, python

_SECONDS = 20.0  # for all trials of one class
_SHARE_OF_OWN = 0.4  # of these for the class's own defaults, which may be slow: smaller sizes come after them
_GROWTH = 80  # settings that a configuration of unknown class may turn out to need
# Of a model that keeps its own defaults: many checks run it and differentiate it again and again, on one core.
_MOST_PARAMETERS = 10_000_000
_MOST_OF_OWN = 12  # choices for what a class must be given, while all else keeps its default
_SEED = 20_011
# What whole models must be given, by its name.
_SIDES: tuple[object, ...] = (32, {"$tuple": [32, 32]}, 28, 64, 224)
_OF_MODELS: Mapping[str, tuple[object, ...]] = {
    **dict.fromkeys(("img_size", "image_size", "input_size", "resolution"), _SIDES),
    **dict.fromkeys(("patch_size", "patch", "image_patch_size"), (4,)),
    **{"frames": (8,), "num_frames": (8,), "frame_patch_size": (2,)},
    **dict.fromkeys(("num_classes", "n_classes", "num_labels", "n_class", "num_class", "nclass", "classes"), (10,)),
}
_SAME = 1e-4  # of the largest output: how far a sample may move when another changes, and be called its own


def find(path: str, module: str | None, qualname: str, seed: int) -> dict[str, object]:
    """Return how the model class `qualname` of the file at `path` is built and fed.

    Returns:
        `problem`: one line, or None; `class`: `module:qualname` of what is built; `guess`: a text that stands where
        procedures on models take the specs' name; `built` and `fed`: for a reader; `mixes`: whether samples of a batch
        move one another's outputs; `loading`: how its file was loaded where its module was not imported, else empty.
    """
    reply: dict[str, object] = {"problem": None, "class": "", "guess": "", "built": "", "fed": "", "mixes": False}
    reply |= {"loading": ""}
    try:
        with phase("import"):
            loaded = load(path, module, qualname)
        value = loaded.value
        reply |= {"loading": loaded.said}
        if not is_module_class(value):
            raise NotGuessed(f"{qualname} is no class of torch.nn.Module: nothing says how it is built and fed")
        built = cast(type, value)
        arguments, feed, mixes = _searched(built, path, seed)
    except NotGuessed as problem:
        return reply | {"problem": f"{problem}; it was {said}" if (said := reply["loading"]) else str(problem)}
    guess = {"path": path, "module": module, "qualname": qualname, "arguments": arguments, "feed": feed}
    given = ", ".join(f"{key}={python(each)}" for key, each in arguments.items())
    return reply | {
        "class": f"{built.__module__}:{built.__qualname__}",
        "guess": f"{specs.GUESS}{json.dumps(guess)}",
        "built": f"{qualname}({given})",
        "fed": shown(feed),
        "mixes": mixes,
    }


@functools.lru_cache(maxsize=8)
def entry(text: str) -> Mapping[str, object]:
    """Return the entry of specs that a guess stands for; `text` is JSON."""
    guess = json.loads(text)
    value = cast(Callable[..., object], load(guess["path"], guess["module"], guess["qualname"]).value)
    namespace = namespace_of(value)
    constructor = Constructor(cast(type, value), read(value), namespace)

    def build() -> object:
        return value(**{key: constructor.decode(each) for key, each in guess["arguments"].items()})

    return {"build": build, "inputs": functools.partial(inputs_by, guess["feed"]), "loss": _loss}


def _loss(output: object, inputs: Mapping[str, object]) -> torch.Tensor:
    """Return the mean of the outputs, each element of a sample weighted by a number drawn once and for all.

    It is a mean over the samples, as losses are, and every output takes part in it.
    """
    total: torch.Tensor | None = None
    for tensor in flatten(output).values():
        real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        if not real.is_floating_point() or not real.numel():
            continue
        weights = torch.randn(real.shape[1:], generator=torch.Generator().manual_seed(_SEED))
        part = (real * weights.to(real.device, real.dtype)).mean()
        total = part if total is None else total + part
    if total is None:
        raise TypeError("the output holds no floating-point number, of which a loss could be made")
    return total


def _searched(built: type, path: str, seed: int) -> tuple[Mapping[str, object], Mapping[str, object], bool]:
    """Return arguments and recipes that work, the likeliest first, and whether samples of a batch move one another.

    Raises:
        NotGuessed: none do.
    """
    constructor = Constructor(built, read(built), namespace_of(built))
    start, seconds = time.monotonic(), time_left.for_trials(_SECONDS)
    furthest = Furthest(start + seconds)
    for slots, choice, sizes, small in _tries(constructor):
        deadline = start + seconds * (_SHARE_OF_OWN if small else 1)
        if small and time.monotonic() > deadline:
            continue
        if furthest.is_over:
            break
        most = _MOST_PARAMETERS if small else math.inf
        made = _made(constructor, slots, choice, sizes, path, seed, furthest, most)
        if made is None:
            continue
        arguments, model = made
        fed = _fed(model, sizes, path, f"{built.__qualname__}({_shown(arguments)})", deadline, furthest)
        if fed is not None:
            return arguments, *fed
    raise NotGuessed(furthest.why)


def _tries(constructor: Constructor) -> Iterator[tuple[Slots, Mapping[tuple[str, ...], int], Sizes, bool]]:
    """Yield slots and the choice for them, and whether it has to be small: the class's own defaults, then our sizes."""
    classes, _, _ = next(plans(constructor, None))
    own = _with_defaults(constructor, classes)
    yield from ((own, choice, SIZES[0], True) for choice in itertools.islice(variations(own), _MOST_OF_OWN))
    for number, (classes, sizes, vary) in enumerate(plans(constructor, None)):
        slots = _for_whole(constructor, constructor.slots(sizes, classes))
        yield from ((slots, choice, sizes, False) for choice in (variations(slots) if vary else [{}]))
        if number == 0:
            yield own, {}, SIZES[0], False


def _with_defaults(constructor: Constructor, classes: Mapping[str, str | None]) -> Slots:
    """Return the slots of what the class, or its configuration, must be given; all else keeps its default."""
    return _required_slots(constructor, _for_whole(constructor, constructor.slots(SIZES[0], classes)))


def _required_slots(constructor: Constructor, slots: Slots) -> Slots:
    required = {each.name for each in constructor.parameters if each.default is each.empty}
    kept: Slots = {}
    for at, values in slots.items():
        has_default = at[-1] in constructor.defaults if len(at) > 1 else at[0] not in required
        if at[0] in required and not has_default:
            kept[at] = values
        elif len(at) == 1:
            kept[at] = [DEFAULT]
    return kept


def _for_whole(constructor: Constructor, slots: Slots) -> Slots:
    """Return the slots with the values that whole models take rather than attention: images of a usual side, parts."""
    parts: Slots = {(each.name,): list(_parts_of(each, constructor.namespace)) for each in constructor.parameters}
    return {at: [*parts.get(at, []), *_OF_MODELS.get(at[-1].lower(), ()), *values] for at, values in slots.items()}


def _parts_of(parameter: inspect.Parameter, namespace: Mapping[str, object]) -> Iterator[object]:
    """Yield the modules that an argument has to be, by its annotation: built from what their own classes require."""
    for annotated in classes_in(parameter.annotation, namespace):
        name = next((name for name, value in namespace.items() if value is annotated), None)
        if parameter.default is parameter.empty and name and is_module_class(annotated):
            inner = Constructor(annotated, read(annotated), namespace)
            if not inner.configs:
                slots = inner.slots(SIZES[0], {})
                required = _required_slots(inner, slots)
                unset = {at: [each for each in values if each is not DEFAULT] for at, values in slots.items()}
                unset = {at: values for at, values in unset.items() if values and inner.defaults.get(at[0], 0) is None}
                for arguments in (required, required | unset):
                    yield {"$call": name, "arguments": inner.assembled(arguments, {})}


class _TooLargeError(Exception):
    """A model that has to be small is not."""


@contextmanager
def _at_most(parameters: float) -> Iterator[None]:
    """Stop building as soon as a model has more parameters."""
    counted: list[int] = []

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        counted.append(0 if is_lazy(parameter) else parameter.numel())
        if sum(counted) > parameters:
            raise _TooLargeError

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _made(
    constructor: Constructor,
    slots: Slots,
    choice: Mapping[tuple[str, ...], int],
    sizes: Sizes,
    path: str,
    seed: int,
    furthest: Furthest,
    most: float,
) -> tuple[Mapping[str, object], nn.Module] | None:
    """Build the model; a configuration of unknown class grows until it is enough."""
    for _ in range(_GROWTH):
        made: dict[str, object] = {}
        arguments: Mapping[str, object] = {}
        try:
            arguments = constructor.assembled(slots, choice)
            made = {key: constructor.decode(value) for key, value in arguments.items()}
            specs.seed_everything(seed)
            with _at_most(most):
                model = constructor.built(**made)
            model.eval()  # not in one line: a class of its own may return nothing
            return arguments, model
        except _TooLargeError:
            return None
        except Exception as error:  # whatever the target raises: the next attempt may do better
            if not furthest.is_over and constructor.grown(slots, made, error, sizes):
                continue
            what = f"{constructor.built.__qualname__}({_shown(arguments)}) cannot be built"
            furthest.note(0, f"{what}: {told(error, within=path)}")
            return None
    return None


def _fed(
    model: nn.Module, sizes: Sizes, path: str, name: str, deadline: float, furthest: Furthest
) -> tuple[Mapping[str, object], bool] | None:
    """Return the first recipes with which every sample has an output of its own, else the first that work at all."""
    mixing: Mapping[str, object] | None = None
    for feed in feeds_of(model, parameters_of(model.forward), sizes):
        if time.monotonic() > deadline:
            break
        try:
            outputs = [_ran(model, inputs_by(feed, size, _generator(0)), size) for size in (2, 3)]
            if not _mixes(model, feed, _of_samples(*outputs)):
                return feed, False
            mixing = mixing or feed
        except NotGuessed as unfit:
            furthest.note(1, f"{name} was called with {shown(feed)}: {unfit}")
        except Exception as error:  # whatever the target raises: it may take another input
            if lacks_setting(error):
                break
            furthest.note(1, f"{name} cannot be called with {shown(feed)}: {told(error, within=path)}")
    return None if mixing is None else (mixing, True)


def _ran(model: nn.Module, inputs: Mapping[str, object], size: int) -> dict[str, torch.Tensor]:
    """Return the outputs of one call.

    Raises:
        NotGuessed: none has an entry for each sample, or one is not finite.
    """
    with torch.no_grad():
        found = flatten(model(**inputs))
    if not any(each.dim() and each.shape[0] == size and each.numel() for each in found.values()):
        shapes = ", ".join(str(tuple(each.shape)) for each in found.values()) or "no tensor"
        raise NotGuessed(f"a batch of {size} gives {shapes}, and no tensor with an entry for each sample")
    if not all(bool(torch.isfinite(each).all()) for each in found.values()):
        raise NotGuessed("the output of a normal input is not finite")
    return found


def _of_samples(two: Mapping[str, torch.Tensor], three: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the outputs of two samples whose first axis is the batch: a state of two layers is as long by chance."""
    return {
        key: each
        for key, each in two.items()
        if each.dim() and each.shape[0] == 2 and key in three and three[key].shape[:1] == (3,)
    }


def _mixes(model: nn.Module, feed: Mapping[str, object], before: Mapping[str, torch.Tensor]) -> bool:
    """Whether the first sample's outputs move when the second is another one."""
    given, other = (inputs_by(feed, 2, _generator(index)) for index in (0, 1))
    changed: dict[str, object] = {}
    for key, value in given.items():
        second: Any = other[key]
        changed[key] = torch.cat((value[:1], second[1:])) if isinstance(value, torch.Tensor) else value
    with torch.no_grad():
        after = flatten(model(**changed))
    pairs = [(each, after[key]) for key, each in before.items() if key in after]
    floating = [
        (one.double(), two.double()) for one, two in pairs if one.is_floating_point() and one.shape == two.shape
    ]
    return any(float((one[0] - two[0]).abs().max()) > _SAME * float(one.abs().max()) for one, two in floating)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(_SEED + seed)


def _shown(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={python(value)}" for key, value in arguments.items())[:300]
