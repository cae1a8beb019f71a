"""Runs the target's attention modules and functions on inputs that the parent made, and returns what came out."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from . import circumstances, devices, kernel_memory, rotary_tables, unread, watching
from .branches import arranged
from .callee import Leaves, callee_of
from .parts import SpecError
from .phases import phase
from .plain import said_by
from .tensors import digest, dump, load


def run(
    subject: dict[str, object],
    declared: str,
    seed: int,
    dtype: str,
    calls: list[dict[str, object]],
    tensors: bytes,
    *,
    opened: bool = False,
) -> dict[str, object]:
    """Build the subject once, make every call in `calls`, and return outputs, gradients and the module's state.

    Args:
        subject: what is built and called, as `callee_of` takes it.
        declared: the class that it must be, `module:qualname`; a module of another class is not called.
        seed: of the weights.
        dtype: of the weights; the inputs arrive in it.
        calls: each names its tensors by their keys in `tensors`. `kind` is `forward`, `decode` or `backward`; `layout`
            and what `circumstances.of_call` takes may be added, `moved` as `circumstances.moved` takes it, `tolerated`
            (an exception is an answer) and `watched`.
        tensors: the inputs, in the safetensors format.
        opened: whether trainable parameters that begin as zero are given other numbers first.

    Returns:
        `tensors`: `output.<i>` for each call, `gradient.<i>.<name>` for `backward`, `state.<name>` for a module;
        `missing`: `<i>.<name>` of every gradient that is None; `overwritten`: the same of every input that its call
        changed; `trainable`: for each parameter that requires a gradient, its name among the gradients; `class`,
        `parameters`, torch's `layers` and the `rotary_bases` of a module; `detached`: parameters without a gradient on
        which the output depends, `unread`: those whose name no source of the module reads; `refused`: what tolerated
        calls raised, `observed`: what happened in watched ones, both by their numbers.
    """
    inputs = load(tensors)
    callee = arranged(callee_of(subject, seed, dtype), subject)
    module, identity = callee.module, callee.identity
    if identity["class"] not in (None, declared):
        return identity
    if opened and module is not None:
        circumstances.open_gates(module, seed)
    found: dict[str, torch.Tensor] = {}
    missing: list[str] = []
    overwritten: list[str] = []
    detached: set[str] = set()
    refused: dict[str, str] = {}
    observed: dict[str, list[dict[str, object]]] = {}
    for index, call in enumerate(calls):
        backward = call["kind"] == "backward"
        leaves = _leaves(inputs, call, requires_grad=backward)
        before = {key: digest(leaf) for key, leaf in leaves.items() if leaf is not None}
        kind = "decode" if call["kind"] == "decode" else "forward"
        if backward and module is not None:
            circumstances.cut_from_graphs(module)
        with (
            phase(kind),
            torch.set_grad_enabled(backward),
            circumstances.of_call(module, call),
            circumstances.moved(module, call.get("moved"), inputs),
        ):
            with watching.watched(watching.home_of(declared) if call.get("watched") else None) as seen:
                try:
                    output = callee.call(leaves, call)
                except Exception as error:
                    if not call.get("tolerated"):
                        raise
                    refused[str(index)] = said_by(error)
                    continue
            observed |= {str(index): seen} if call.get("watched") else {}
            if not isinstance(output, torch.Tensor):
                raise SpecError(f"'{kind}' returned {type(output).__name__}, not a tensor")
        after = {key: digest(leaf) for key, leaf in leaves.items() if leaf is not None}
        overwritten += [f"{index}.{key}" for key in before if after[key] != before[key]]
        found[f"output.{index}"] = output
        cotangent = inputs[str(call["cotangent"])] if backward else None
        if cotangent is not None and output.shape[:-1] == cotangent.shape[:-1]:
            # The parent knows the width of the input and not that of the output, whose shape it judges afterwards.
            cotangent = torch.cat([cotangent] * (1 + output.shape[-1] // cotangent.shape[-1]), dim=-1)
            cotangent = cotangent[..., : output.shape[-1]]
            with phase("backward"):
                gradients = _gradients(module, output, cotangent, leaves)
            absent = {key.partition("parameter.")[2] for key, gradient in gradients.items() if gradient is None}
            detached |= set(unread.moving(absent, module, partial(callee.call, leaves, call)))
            for key, gradient in gradients.items():
                if gradient is None:
                    missing.append(f"{index}.{key}")
                else:
                    found[f"gradient.{index}.{key}"] = gradient
    if module is not None:
        found |= {f"state.{key}": value for key, value in module.state_dict().items()}
    return {
        "tensors": dump(found),
        "missing": list(missing),
        "overwritten": list(overwritten),
        "trainable": _trainable(module),
        "layers": list(circumstances.layers(module)),
        "rotary_bases": rotary_tables.bases(module),
        "detached": sorted(detached),
        "unread": list(unread.among({key.partition(".parameter.")[2] for key in missing}, module)),
        "refused": dict(refused),
        "observed": dict(observed),
        **identity,
    }


def run_kernels(**arguments: Any) -> dict[str, object]:
    """Do the same, and tell as `kernels` what those that Triton interprets addressed; see `kernel_memory`."""
    with kernel_memory.watched() as memory:
        reply = run(**arguments)
    return {**reply, "kernels": memory.told()}


def _trainable(module: torch.nn.Module | None) -> dict[str, str]:
    """Return each trainable parameter's name in the state dict, and the one under which its gradient is reported."""
    first: dict[int, str] = {}
    named = [] if module is None else module.named_parameters(remove_duplicate=False)
    return {key: first.setdefault(id(p), key) for key, p in named if p.requires_grad}


def _leaves(
    inputs: Mapping[str, torch.Tensor], call: Mapping[str, object], *, requires_grad: bool
) -> dict[str, torch.Tensor | None]:
    names = ("hidden_states", "context", "key_mask", "query", "key", "value", "mask")
    leaves: dict[str, torch.Tensor | None] = {}
    for name in names:
        tensor = devices.placed(inputs[str(call[name])].clone()) if call.get(name) else None
        tensor = None if tensor is None else circumstances.arranged(tensor, call.get("layout"))
        if tensor is not None and tensor.is_floating_point():
            tensor.requires_grad_(requires_grad)
        leaves[name] = tensor
    return leaves


def _gradients(
    module: torch.nn.Module | None,
    output: torch.Tensor,
    cotangent: torch.Tensor,
    leaves: Leaves,
) -> dict[str, torch.Tensor | None]:
    wanted = {key: leaf for key, leaf in leaves.items() if leaf is not None and leaf.requires_grad}
    if module is not None:
        wanted |= {f"parameter.{key}": p for key, p in module.named_parameters() if p.requires_grad}
    # Not by `grad_outputs`, for which torch imports sympy, a third of a second in every process; bit by bit the same,
    # for what the product and the sum add to the backward pass are multiplications with one.
    with torch.enable_grad():
        weighted = (output * devices.placed(cotangent).to(output.dtype)).sum()
    gradients = torch.autograd.grad(weighted, list(wanted.values()), allow_unused=True)
    return dict(zip(wanted, gradients, strict=True))
