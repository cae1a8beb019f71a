"""Builds, runs, differentiates, steps and reloads the target's registered models.

Every procedure starts from a model built anew under the given seed, so that nothing carries over between checks.
"""

import io
import sys
import types
from collections.abc import Mapping

import torch

from .outputs import flatten
from .parts import built, class_of, forward, gradient_of, inputs_of, model_loss, optimizer_of, train_once
from .phases import phase
from .tensors import digest, dump

# Bound before the target's code runs, like those in `tensors`.
_save = torch.save
_load = torch.load

_REPEATS = 7  # an unguarded stochastic depth of 0.1 shows in 8 runs of 3 samples with a probability of 92 %
_MAX_BATCHES = 8


def build(specs: str, name: str, seed: int) -> dict[str, object]:
    """Build a model and tell what it is: its class and numbers of parameters."""
    model = built(specs, name, seed)
    made = class_of(model)
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
    begins as zero hides what comes before it.
    """
    model = built(specs, name, seed).eval()
    inputs = inputs_of(specs, name, seed, batch_size)
    before = _digests(inputs)
    first = dump(flatten(forward(model, inputs)))  # taken before the next run, which may write into the same memory
    after = _digests(inputs)
    reply: dict[str, object] = {"first": first, "overwritten": [key for key in after if before.get(key) != after[key]]}
    reply["other"] = dump(flatten(forward(model, inputs_of(specs, name, seed + 1, batch_size))))
    if reply["other"] == first:
        _disturb(model, seed)
        for key, each in (("first_disturbed", seed), ("other_disturbed", seed + 1)):
            reply[key] = dump(flatten(forward(model, inputs_of(specs, name, each, batch_size))))
    return reply


def repeat(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Run the model several times on one batch, in eval mode; return tensors of the runs.

    `second` is the first run that differs from `first` in a bit, else the last. `same_inputs` tells whether the specs
    gave every run the batch of the first.
    """
    model = built(specs, name, seed).eval()
    inputs = inputs_of(specs, name, seed, batch_size, anew=True)
    before = _digests(inputs)
    first = dump(flatten(forward(model, inputs)))
    same = True
    second = first
    for _ in range(_REPEATS):
        again = inputs_of(specs, name, seed, batch_size, anew=True)
        same = same and before == _digests(again)
        second = dump(flatten(forward(model, again)))
        if second != first:
            break
    return {"first": first, "second": second, "same_inputs": same}


def backward(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Differentiate the loss in train mode; return it and what arrived at each parameter.

    Where nothing arrived, further batches are tried, with an optimizer step between: a branch that begins as zero, or
    an expert that the first batch does not choose, learns later.
    """
    model = built(specs, name, seed).train()
    found: dict[str, dict[str, object]] = {}
    first_loss = 0.0
    for batch in range(_MAX_BATCHES):
        model.zero_grad()
        loss = model_loss(model, specs, name, seed + batch, batch_size)
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
    return {"loss": first_loss, "gradients": found, "batches": batch + 1}


def step(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Take optimizer steps until every parameter has changed, at most a few; return digests from before and after.

    A trainable parameter is looked at after a forward and after the one that follows the step: one that forward
    overwrites is the same there, whatever the step did to it.
    """
    model = built(specs, name, seed).train()
    trainable = {key: p for key, p in model.named_parameters() if p.requires_grad}
    frozen = {key: p for key, p in model.named_parameters() if not p.requires_grad}
    before = {key: digest(p) for key, p in frozen.items()}
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
        if all(before[key] != digest(p) for key, p in trainable.items()):
            break
    return {
        "loss_before": losses[0],
        "loss_after": losses[1],
        "trainable": {key: [before[key], digest(p)] for key, p in trainable.items()},
        "frozen": {key: [before[key], digest(p)] for key, p in frozen.items()},
    }


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


def reached(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Return the class of every module whose forward ran in one forward pass of the model.

    Of a module without a forward any other method counts: it can be used in no other way.
    """
    model = built(specs, name, seed).eval()
    classes: set[tuple[str, str]] = set()

    def note(module: torch.nn.Module, _: object = None) -> None:
        classes.update((base.__module__, base.__qualname__) for base in type(module).__mro__)

    def watch(frame: types.FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_varnames[:1] == ("self",) and not hasattr(torch.nn.Module, code.co_name):
            module = frame.f_locals.get("self")
            if isinstance(module, torch.nn.Module) and type(module).forward is torch.nn.Module.forward:
                note(module)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    inputs = inputs_of(specs, name, seed, batch_size)
    sys.setprofile(watch)
    try:
        forward(model, inputs)
    finally:
        sys.setprofile(None)
        handle.remove()
    return {"classes": [list(pair) for pair in sorted(classes)]}


def _digests(inputs: Mapping[str, object]) -> dict[str, str]:
    return {key: digest(tensor) for key, tensor in flatten(inputs, "inputs").items()}


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
