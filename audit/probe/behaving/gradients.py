"""Differentiates a model's loss: with respect to its inputs, with parts frozen, recomputed, in parts of a batch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from .. import specs as specs_
from ..calling import called
from ..outputs import flatten
from ..parts import built, forward, inputs_of, loss_of
from ..phases import phase
from ..tensors import dense, dump
from .batches import Inputs, batched, changed, chosen, copied
from .modes import couples_samples, dropout_of
from .moving import FLOAT32_EPS, moved

_ENABLERS = ("gradient_checkpointing_enable", "set_grad_checkpointing", "enable_gradient_checkpointing")
_FLAGS = ("gradient_checkpointing", "use_checkpoint", "grad_checkpointing", "use_gradient_checkpointing")
_STEP = 1e-6  # relative, of float64: far above its rounding, far below what indices and choices are made of


def loss_on(model: nn.Module, specs: str, name: str, inputs: Inputs) -> torch.Tensor:
    """Return the loss of one forward on these inputs."""
    with phase("forward"):
        output = called(model, inputs)
    return loss_of(specs, name, output, inputs)


def gradients_of(model: nn.Module, specs: str, name: str, inputs: Inputs, seed: int) -> dict[str, torch.Tensor]:
    """Return the loss, `loss`, and the dense gradient of every parameter that gets one, `gradient.<name>`.

    The global generators are seeded first, so that dropout falls alike in every call.
    """
    model.zero_grad()
    specs_.seed_everything(seed)
    loss = loss_on(model, specs, name, inputs)
    with phase("backward"):
        loss.backward()  # type: ignore[no-untyped-call]
    return {"loss": loss.detach().reshape(1)} | held_gradients(model)


def held_gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return what lies at the parameters as their gradients, dense, `gradient.<name>`."""
    return {
        f"gradient.{key}": p.grad.detach().to_dense().clone()
        for key, p in model.named_parameters()
        if p.grad is not None
    }


def of_inputs(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Differentiate the outputs with respect to the floating-point inputs, in float64, and move these a little.

    Returns:
        `reached`: for each floating-point input, `max_abs` of its gradient and its `nonfinite` elements, and whether
        it `moves` the output when it is changed by a millionth; `frozen`: how many parameters are.
    """
    model = built(specs, name, seed).double().eval()
    leaves: dict[str, torch.Tensor] = {}

    def leaf(path: str, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor
        leaves[path] = tensor.detach().double().clone().requires_grad_()
        return leaves[path]

    inputs = changed(inputs_of(specs, name, seed, batch_size), leaf)
    generator = torch.Generator().manual_seed(seed)
    with phase("forward"):
        output = called(model, inputs)
    outputs = [torch.view_as_real(each) if each.is_complex() else each for each in flatten(output).values()]
    floating = [each for each in outputs if each.is_floating_point() and each.requires_grad]
    reached: dict[str, object] = {}
    gradients: dict[str, torch.Tensor | None] = dict.fromkeys(leaves)
    if floating and leaves:
        # Weights drawn at random, for the plain sum of a softmax is one whatever goes in.
        weighted = sum(
            (each * torch.randn(each.shape, generator=generator, dtype=torch.float64).to(each.dtype)).sum()
            for each in floating
        )
        with phase("backward"):
            found = torch.autograd.grad(weighted, list(leaves.values()), allow_unused=True)  # type: ignore[arg-type]
        gradients = dict(zip(leaves, found, strict=True))
    before = flatten(forward(model, inputs))
    for path, gradient in gradients.items():
        nudged = changed(inputs, lambda at, tensor, path=path: tensor * (1 + _STEP) if at == path else tensor)  # type: ignore[misc]
        after = flatten(forward(model, nudged))
        reached[path] = {
            "max_abs": 0.0 if gradient is None or not gradient.numel() else float(gradient.abs().max()),
            "nonfinite": 0 if gradient is None else int((~torch.isfinite(gradient)).sum()),
            "moves": any(_differ(tensor, after[key]) for key, tensor in before.items() if key in after),
        }
    return {"reached": reached, "frozen": sum(not p.requires_grad for p in model.parameters())}


def with_frozen(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Differentiate the loss with the first half of the trainable parameters frozen.

    Returns:
        `frozen`: the names of the parameters that must get no gradient, those of the model's own choice among them;
        `with_gradient`: those that got one all the same; `lost`: the names of trainable parameters that got a gradient
        before anything was frozen and get none now.
    """
    inputs = inputs_of(specs, name, seed, batch_size)
    model = built(specs, name, seed).train()
    own = [key for key, p in model.named_parameters() if not p.requires_grad]
    full = gradients_of(model, specs, name, copied(inputs), seed)
    arrived = {key for key in full if key != "loss" and bool(full[key].any())}
    frozen_of_its_own = {key: p.grad is not None for key, p in model.named_parameters() if key in own}
    model = built(specs, name, seed).train()
    trainable = [key for key, p in model.named_parameters() if p.requires_grad]
    chosen = set(trainable[: len(trainable) // 2])
    for key, parameter in model.named_parameters():
        if key in chosen:
            parameter.requires_grad_(False)
    half = gradients_of(model, specs, name, copied(inputs), seed)
    with_gradient = [key for key, has in frozen_of_its_own.items() if has]
    with_gradient += [key for key in sorted(chosen | set(own)) if f"gradient.{key}" in half]
    left = [key for key in trainable if key not in chosen]
    lost = [key for key in left if f"gradient.{key}" in arrived]
    lost = [key for key in lost if f"gradient.{key}" not in half or not bool(half[f"gradient.{key}"].any())]
    return {"frozen": sorted(chosen | set(own)), "with_gradient": sorted(set(with_gradient)), "lost": lost}


def recomputed(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Compare loss and gradients with and without activation checkpointing.

    Returns:
        `how`: what turned it on, or None where the model offers nothing; `plain` and `recomputed`: loss and gradients;
        `forwards`: how many modules ran during the backward pass, which is what checkpointing makes them do.
    """
    spec = specs_.entry(specs, "MODELS", name)
    inputs = inputs_of(specs, name, seed, batch_size)
    model = built(specs, name, seed).train()
    with phase("checkpointing"):
        how = _enabled(model, spec)
    if how is None:
        return {"how": None}
    plain = gradients_of(built(specs, name, seed).train(), specs, name, copied(inputs), seed)
    model.train()
    model.zero_grad()
    specs_.seed_everything(seed)
    loss = loss_on(model, specs, name, copied(inputs))
    with _counting() as ran, phase("backward"):
        loss.backward()  # type: ignore[no-untyped-call]
    again = {"loss": loss.detach().reshape(1)} | held_gradients(model)
    return {"how": how, "plain": dump(plain), "recomputed": dump(again), "forwards": ran[0]}


def _enabled(model: nn.Module, spec: Mapping[str, object]) -> str | None:
    if "checkpointing" in spec:
        specs_.function(spec, "checkpointing")(model)
        return "the specs' 'checkpointing'"
    for method in _ENABLERS:
        if callable(enable := getattr(model, method, None)):
            enable()
            return f"{method}()"
    # Of a model within one: the outermost that offers it, for it turns on what is in it.
    for key, module in model.named_modules():
        for method in _ENABLERS:
            if callable(enable := getattr(module, method, None)):
                enable()
                return f"{key}.{method}()"
    found = None
    for key, module in model.named_modules():
        for flag in _FLAGS:
            if vars(module).get(flag) is False:
                setattr(module, flag, True)
                found = found or f"{key + '.' if key else ''}{flag} = True"
    return found


@contextmanager
def _counting() -> Iterator[list[int]]:
    """Count the modules whose forward begins."""
    ran = [0]

    def count(*_: object) -> None:
        ran[0] += 1

    handle = torch.nn.modules.module.register_module_forward_pre_hook(count)
    try:
        yield ran
    finally:
        handle.remove()


def accumulated(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Add up the gradients of each sample of a batch, and compare with those of the batch.

    Train mode where nothing in it is random, else eval mode, in which samples cannot be told apart by their dropout.

    Returns:
        `coupled`: layers that mix the samples in train mode, with which there is nothing to compare; `batched`
        and `joined`, see `Batched`; `random`: whether train mode is; `whole`: loss and gradients of the batch; `parts`:
        the mean of the losses of its samples and the sum of their gradients, each of a k-th of its loss; `moved.<i>`:
        those of the batch with model and inputs moved by one unit in the last place.
    """
    model = built(specs, name, seed).train()
    coupled = couples_samples(model)
    where = batched(specs, name, seed, batch_size)
    if coupled or not where.is_separable:
        return {"coupled": coupled, **where.described()}
    inputs = inputs_of(specs, name, seed, batch_size)
    random = _is_random(model, inputs, seed)
    model = built(specs, name, seed).train(not random)
    whole = gradients_of(model, specs, name, copied(inputs), seed)
    reply: dict[str, object] = {"coupled": [], **where.described(), "random": random, "whole": dump(whole)}

    def run(given: Inputs) -> dict[str, torch.Tensor]:
        return gradients_of(model, specs, name, given, seed)

    reply |= {f"moved.{index}": dump(each) for index, each in enumerate(moved(model, inputs, FLOAT32_EPS, seed, run))}
    model = built(specs, name, seed).train(not random)
    model.zero_grad()
    total = torch.zeros(1)
    for index in range(batch_size):
        specs_.seed_everything(seed)
        loss = loss_on(model, specs, name, copied(chosen(inputs, where, [index])))
        with phase("backward"):
            (loss / batch_size).backward()  # type: ignore[no-untyped-call]
        total = total + loss.detach().reshape(1) / batch_size
    return reply | {"parts": dump({"loss": total} | held_gradients(model))}


def _is_random(model: nn.Module, inputs: Inputs, seed: int) -> bool:
    if any(dropout_of(module) > 0 for module in model.modules()):
        return True
    outputs = []
    for each in (seed, seed + 1):
        specs_.seed_everything(each)
        outputs.append(flatten(forward(model, copied(inputs))))
    return any(_differ(tensor, outputs[1][key]) for key, tensor in outputs[0].items())


def _differ(first: torch.Tensor, second: torch.Tensor) -> bool:
    return not torch.equal(dense(first), dense(second))
