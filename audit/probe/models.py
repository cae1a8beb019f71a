"""Builds, runs, differentiates, steps and reloads the target's registered models.

Every procedure starts from a model built anew under the given seed, so that nothing carries over between checks.
"""

import io
import math
import re
import sys
import warnings
from collections.abc import Mapping
from itertools import zip_longest

import torch
from torch.nn.parameter import is_lazy

from . import specs as specs_
from .outputs import flatten
from .parts import (
    SpecError,
    built,
    class_of,
    forward,
    gradient_of,
    inputs_of,
    model_loss,
    optimizer_of,
    refuse_unknown,
    train_once,
)
from .phases import phase
from .tensors import digest, dump
from .tensors import load as read

# Bound before the target's code runs, like those in `tensors`.
_save = torch.save
_load = torch.load

_REPEATS = 7  # an unguarded stochastic depth of 0.1 shows in 8 runs of 3 samples with a probability of 92 %
_MAX_BATCHES = 8
_MAX_NAMED = 4
# The words of torch.nn.functional's losses.
_BROADCAST = re.compile(r"Using a target size \D*\[(.*?)\]\)+ that is different to the input size \D*\[(.*?)\]")


def build(specs: str, name: str, seed: int) -> dict[str, object]:
    """Build a model and tell what it is: its class and numbers of parameters."""
    model = built(specs, name, seed)
    made = class_of(model)
    if lazy := [key for key, parameter in model.named_parameters() if is_lazy(parameter)]:
        what = f"parameters whose shape the first call finds out ({', '.join(lazy[:_MAX_NAMED])}): call it in 'build'"
        raise SpecError(f"'build' returned a model with {what}, once, with a batch, so that there is one to judge")
    return {
        "class_module": made.__module__,
        "class_qualname": made.__qualname__,
        "another_of_that_name": _is_another(made),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def once(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Run the model on one batch and on another, in eval mode; return tensors of both runs.

    `overwritten` names the inputs that the first run changed. Where both batches give the same output,
    `first_disturbed` and `other_disturbed` are those of the model with noise on its parameters: a last layer that
    begins as zero hides what comes before it. `undefined` names the inputs that hold NaN or an infinity above all
    numbers; one below them is what a mask hides. `same_batch` tells whether both batches are one.
    """
    model = built(specs, name, seed).eval()
    inputs = inputs_of(specs, name, seed, batch_size)
    before, undefined = _digests(inputs), _undefined(inputs)
    refuse_unknown(model, inputs)
    first = dump(flatten(forward(model, inputs)))  # taken before the next run, which may write into the same memory
    after = _digests(inputs)
    reply: dict[str, object] = {"first": first, "overwritten": [key for key in after if before.get(key) != after[key]]}
    other = inputs_of(specs, name, seed + 1, batch_size)
    reply["undefined"] = list[object](dict.fromkeys(undefined + _undefined(other)))
    reply["same_batch"] = before == _digests(other) and (bool(before) or repr(inputs) == repr(other))
    reply["other"] = second = dump(flatten(forward(model, other)))
    if second == first or _are_equal(read(first), read(second)):
        _disturb(model, seed)
        for key, each in (("first_disturbed", seed), ("other_disturbed", seed + 1)):
            reply[key] = dump(flatten(forward(model, inputs_of(specs, name, each, batch_size))))
    return reply


def _are_equal(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    """Whether two outputs hold equal numbers, as zeros of either sign are, which a factor of zero leaves of all."""
    return first.keys() == second.keys() and all(
        tensor.shape == second[name].shape
        and tensor.dtype == second[name].dtype
        and not bool((tensor.double() != second[name].double()).any())
        for name, tensor in first.items()
    )


def repeat(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Run the model several times on one batch, in eval mode; return tensors of the runs.

    `second` is the first run that differs from `first` in a bit, else the last. `same_inputs` tells whether the specs
    gave every run the batch of the first. `changed` names the real numbers that are saved and that other runs have
    changed than the first, in which a model may set up what it needs; `recast` the parameters that are of another dtype
    afterwards than when they were built. `used` and `unused` are tensors of a run on another batch, by this model and
    by a new one of the same saved state, where calls leave that as it is; else they are left out. `by_calls` tells of
    runs that differ whether a new model gives the first output again, whatever is drawn at random, so that it is by the
    calls before; `kept` names the parameters and buffers that these have changed.
    """
    model = built(specs, name, seed).eval()
    begun = _saved(model)
    dtypes = {key: parameter.dtype for key, parameter in model.named_parameters() if not is_lazy(parameter)}
    inputs = inputs_of(specs, name, seed, batch_size, anew=True)
    before = _digests(inputs)
    first = dump(flatten(forward(model, inputs)))
    kept = _saved(model)
    same = True
    second = first
    for _ in range(_REPEATS):
        again = inputs_of(specs, name, seed, batch_size, anew=True)
        same = same and before == _digests(again)
        second = dump(flatten(forward(model, again)))
        if second != first:
            break
    changed = sorted(key for key, value in _saved(model).items() if kept.get(key) != value)
    recast = [key for key, parameter in model.named_parameters() if dtypes.get(key, parameter.dtype) != parameter.dtype]
    reply: dict[str, object] = {
        "first": first,
        "second": second,
        "same_inputs": same,
        "changed": list[object](changed),
        "recast": list[object](recast),
    }
    if second != first:
        new = built(specs, name, seed).eval()
        at_first = _all_digests(new)
        now = _all_digests(model)
        specs_.seed_everything(seed + 1)
        by_calls = same and dump(flatten(forward(new, inputs_of(specs, name, seed, batch_size, anew=True)))) == first
        reply["by_calls"] = by_calls
        reply["kept"] = [key for key, value in now.items() if at_first.get(key) != value] if by_calls else []
    if begun == kept and second == first and not changed:
        other = inputs_of(specs, name, seed + 1, batch_size)
        used = dump(flatten(forward(model, other)))
        del model
        new = built(specs, name, seed).eval()
        if _saved(new) == begun:
            reply |= {"used": used, "unused": dump(flatten(forward(new, other)))}
    return reply


def backward(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Differentiate the loss in train mode; return it and what arrived at each parameter.

    Where nothing arrived, further batches are tried, with an optimizer step between: a branch that begins as zero, or
    an expert that the first batch does not choose, learns later.

    Returns:
        `loss` of the first batch; `broadcast`: what torch says where a loss spreads predictions over targets of another
        shape; `gradients`: by parameter what arrived, and whether the module that holds it was `called`; `unchosen`:
        parameters of items of a list or dict of modules that were called for no batch, while which others were differs
        from batch to batch; `batches`: how many were tried.
    """
    model = built(specs, name, seed).train()
    found: dict[str, dict[str, object]] = {}
    first_loss = 0.0
    called: list[set[str]] = []
    broadcast = ""
    names = {id(module): key for key, module in model.named_modules()}

    def note(module: torch.nn.Module, _: object) -> None:
        called[-1].add(names.get(id(module), ""))

    for batch in range(_MAX_BATCHES):
        model.zero_grad()
        called.append(set())
        handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                loss = model_loss(model, specs, name, seed + batch, batch_size)
        finally:
            handle.remove()
        broadcast = broadcast or next(filter(_spreads, (str(each.message) for each in warned)), "")
        with phase("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
        first_loss = first_loss if batch else float(loss.detach())
        trainable = {key: p for key, p in model.named_parameters() if p.requires_grad}
        for key, p in trainable.items():
            if not _has_arrived(found.get(key)):
                found[key] = gradient_of(p)
        if all(map(_has_arrived, found.values())):
            break
        with phase("step"):
            optimizer_of(trainable).step()
    ever = set().union(*called)
    unchosen = [key for key, each in found.items() if not _has_arrived(each) and _is_unchosen(key, model, called)]
    gradients = {key: {**each, "called": key.rpartition(".")[0] in ever} for key, each in found.items()}
    return {
        "loss": first_loss,
        "gradients": gradients,
        "unchosen": list[object](unchosen),
        "batches": batch + 1,
        "broadcast": broadcast,
    }


def _spreads(warning: str) -> bool:
    """Whether a loss warns that it repeats predictions; that one target is repeated over them is no mistake."""
    if not (found := _BROADCAST.search(warning)):
        return False
    target, given = (tuple(map(int, re.findall(r"\d+", each))) for each in found.groups())
    lengths = zip_longest(reversed(target), reversed(given), fillvalue=1)
    return len(target) > len(given) or any(wanted > held for wanted, held in lengths)


def _is_unchosen(parameter: str, model: torch.nn.Module, called: list[set[str]]) -> bool:
    """Whether a parameter belongs to an item that no batch has called, where batches call other items of its list."""
    parts = parameter.split(".")
    for depth in range(1, len(parts)):
        holder, item = ".".join(parts[: depth - 1]), ".".join(parts[:depth])
        items = model.get_submodule(holder)
        if isinstance(items, torch.nn.ModuleList | torch.nn.ModuleDict):
            beside = {f"{holder}.{key}" if holder else key for key, _ in items.named_children()}
            if all(item not in each for each in called) and len({frozenset(each & beside) for each in called}) > 1:
                return True
    return False


def step(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Take optimizer steps until every parameter has changed, at most a few; return digests from before and after.

    A trainable parameter is looked at after a forward and after the one that follows the step: one that forward
    overwrites is the same there, whatever the step did to it.
    """
    model = built(specs, name, seed).train()
    trainable = {key: p for key, p in model.named_parameters() if p.requires_grad}
    frozen = {key: p for key, p in model.named_parameters() if not p.requires_grad}
    before = {key: digest(p) for key, p in frozen.items()}
    kept = {key: p.detach().clone() for key, p in frozen.items()}
    averaged: dict[str, str] = {}
    loss = model_loss(model, specs, name, seed, batch_size)
    before |= {key: digest(p) for key, p in trainable.items()}
    losses = [float(loss.detach())]
    for batch in range(_MAX_BATCHES):
        model.zero_grad()
        with phase("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
        with phase("step"):
            optimizer_of(trainable).step()
        loss = model_loss(model, specs, name, seed + batch, batch_size)
        losses.append(float(loss.detach()))
        if not batch:
            averaged = {key: of for key, p in frozen.items() if (of := _averaged(p, kept[key], trainable))}
        if all(before[key] != digest(p) for key, p in trainable.items()):
            break
    return {
        "loss_before": losses[0],
        "loss_after": losses[1],
        "trainable": {key: [before[key], digest(p)] for key, p in trainable.items()},
        "frozen": {key: [before[key], digest(p)] for key, p in frozen.items()},
        "averaged": averaged,
    }


def _averaged(parameter: torch.Tensor, before: torch.Tensor, others: Mapping[str, torch.Tensor]) -> str | None:
    """Return the trainable parameter that a frozen one has come nearer to, by one share in all its elements.

    A moving average does that in each update: p + a (q - p) with 0 < a <= 1, to within the rounding of a sum.
    """
    if parameter.shape != before.shape or not parameter.is_floating_point() or torch.equal(parameter, before):
        return None
    change = (parameter.detach() - before).double()
    rounding = 4 * torch.finfo(parameter.dtype).eps * before.double().abs().max()
    for name, other in others.items():
        if other.shape == parameter.shape:
            way = (other.detach() - before).double()
            share = float((change * way).sum() / (way * way).sum().clamp(min=1e-300))
            if 0 < share <= 1 + 1e-3 and float((change - share * way).abs().max()) <= rounding:
                return name
    return None


def save(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Train for a step where that works, and return the state dict as bytes and the outputs that belong to it.

    Trained, for what changes in training must be saved too.
    """
    model = built(specs, name, seed)
    try:
        train_once(model, specs, name, seed, batch_size)
    except Exception:  # smoke.backward and smoke.optimizer_step say what is wrong with it
        model = built(specs, name, seed)
    model.eval()
    buffer = io.BytesIO()
    with phase("save"):
        _save(model.state_dict(), buffer)
    saved = dump(flatten(forward(model, inputs_of(specs, name, seed, batch_size))))
    return {"saved": saved, "state": buffer.getvalue(), "entries": len(model.state_dict())}


def load(specs: str, name: str, seed: int, batch_size: int, state: bytes) -> dict[str, object]:
    """Build the model under another seed and return its outputs before and after loading `state`."""
    model = built(specs, name, seed + 1).eval()
    before = dump(flatten(forward(model, inputs_of(specs, name, seed, batch_size))))
    with phase("load"):
        model.load_state_dict(_load(io.BytesIO(state), weights_only=True))
    return {"before": before, "loaded": dump(flatten(forward(model, inputs_of(specs, name, seed, batch_size))))}


def _digests(inputs: Mapping[str, object]) -> dict[str, str]:
    return {key: digest(tensor) for key, tensor in flatten(inputs, "inputs").items()}


def _undefined(inputs: Mapping[str, object]) -> list[str]:
    numbers = {key: tensor for key, tensor in flatten(inputs, "inputs").items() if tensor.is_floating_point()}
    return [key for key, each in numbers.items() if bool((each.isnan() | (each == math.inf)).any())]


def _saved(model: torch.nn.Module) -> dict[str, str]:
    """Return digests of the parameters and saved buffers of real numbers; a count of calls changes no prediction.

    Not by `state_dict()`, whose hooks are the target's. Of sparse and quantized tensors nothing is known.
    """
    tensors: dict[str, torch.Tensor] = dict(model.named_parameters())
    for path, module in model.named_modules():
        kept = module._buffers.keys() - module._non_persistent_buffers_set
        tensors |= {f"{path}.{key}".lstrip("."): each for key in kept if (each := module._buffers[key]) is not None}
    return {
        key: digest(each)
        for key, each in tensors.items()
        if not is_lazy(each) and each.is_floating_point() and each.layout == torch.strided
    }


def _all_digests(model: torch.nn.Module) -> dict[str, str]:
    """Return digests of all parameters and buffers, those that are not saved and whole numbers among them."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {key: digest(each) for key, each in tensors.items() if not is_lazy(each) and each.layout == torch.strided}


def _disturb(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise.to(parameter.device, parameter.dtype))


def _has_arrived(gradient: Mapping[str, object] | None) -> bool:
    return gradient is not None and (gradient["max_abs"] != 0 or bool(gradient["nonfinite"]))


def _is_another(made: type) -> bool:
    """Whether the module that the class names as its home holds another class under that name."""
    found: object = sys.modules.get(made.__module__)
    for part in made.__qualname__.split("."):
        found = getattr(found, part, None)
    return isinstance(found, type) and found is not made
