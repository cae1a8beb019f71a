"""Runs the target's attention modules and functions on inputs that the parent made, and returns what came out."""

from collections.abc import Mapping

import torch

from . import specs as specs_
from .models import NotTheTargets
from .phases import phase
from .tensors import dump, load

_DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def run(
    specs: str, name: str, seed: int, dtype: str, calls: list[dict[str, object]], tensors: bytes
) -> dict[str, object]:
    """Build the subject once, make every call in `calls`, and return outputs, gradients and the module's state.

    Args:
        specs: the specs' module.
        name: the entry of `ATTENTION`.
        seed: of the weights.
        dtype: of the weights; the inputs arrive in it.
        calls: each names its tensors by their keys in `tensors`. `kind` is `forward`, `decode` or `backward`.
        tensors: the inputs, in the safetensors format.

    Returns:
        `tensors`: `output.<i>` for each call, `gradient.<i>.<name>` for `backward`, `state.<name>` for a module;
        `missing`: `<i>.<name>` of every gradient that is None; `class` and `parameters` of a module.
    """
    spec = specs_.entry(specs, "ATTENTION", name)
    inputs = load(tensors)
    module = None if "function" in spec else _built(spec, seed, _DTYPES[dtype])
    found: dict[str, torch.Tensor] = {}
    missing: list[str] = []
    for index, call in enumerate(calls):
        backward = call["kind"] == "backward"
        leaves = _leaves(inputs, call, requires_grad=backward)
        with phase(str(call["kind"])), torch.set_grad_enabled(backward):
            output = _call(spec, module, call, leaves)
            if not isinstance(output, torch.Tensor):
                raise NotTheTargets(f"'{call['kind']}' returned {type(output).__name__}, not a tensor")
        found[f"output.{index}"] = output
        if backward:
            gradients = _gradients(module, output, inputs[str(call["cotangent"])], leaves)
            for key, gradient in gradients.items():
                if gradient is None:
                    missing.append(f"{index}.{key}")
                else:
                    found[f"gradient.{index}.{key}"] = gradient
    if module is not None:
        found |= {f"state.{key}": value for key, value in module.state_dict().items()}
    return {"tensors": dump(found), "missing": list(missing), **_identity(module)}


def _built(spec: Mapping[str, object], seed: int, dtype: torch.dtype) -> torch.nn.Module:
    specs_.seed_everything(seed)
    with phase("build"):
        module = specs_.function(spec, "build")()
        if not isinstance(module, torch.nn.Module):
            raise NotTheTargets(f"'build' returned {type(module).__name__}, not a torch.nn.Module")
    return module.to(dtype).eval()


def _identity(module: torch.nn.Module | None) -> dict[str, object]:
    if module is None:
        return {"class": None, "parameters": None}
    return {
        "class": f"{type(module).__module__}:{type(module).__qualname__}",
        "parameters": sum(p.numel() for p in module.parameters()),
    }


def _leaves(
    inputs: Mapping[str, torch.Tensor], call: Mapping[str, object], *, requires_grad: bool
) -> dict[str, torch.Tensor | None]:
    names = ("hidden_states", "key_mask", "query", "key", "value", "mask")
    leaves: dict[str, torch.Tensor | None] = {}
    for name in names:
        tensor = inputs[str(call[name])].clone() if call.get(name) else None
        if tensor is not None and tensor.is_floating_point():
            tensor.requires_grad_(requires_grad)
        leaves[name] = tensor
    return leaves


def _call(
    spec: Mapping[str, object],
    module: torch.nn.Module | None,
    call: Mapping[str, object],
    leaves: Mapping[str, torch.Tensor | None],
) -> object:
    if module is None:
        return specs_.function(spec, "forward")(
            leaves["query"], leaves["key"], leaves["value"], is_causal=bool(call["is_causal"]), mask=leaves["mask"]
        )
    hidden_states = leaves["hidden_states"]
    if call["kind"] == "decode":
        assert hidden_states is not None
        return specs_.function(spec, "decode")(module, list(hidden_states.split(call["chunks"], dim=1)))  # type: ignore[no-untyped-call]
    return specs_.function(spec, "forward")(module, hidden_states, leaves["key_mask"])


def _gradients(
    module: torch.nn.Module | None,
    output: torch.Tensor,
    cotangent: torch.Tensor,
    leaves: Mapping[str, torch.Tensor | None],
) -> dict[str, torch.Tensor | None]:
    wanted = {key: leaf for key, leaf in leaves.items() if leaf is not None and leaf.requires_grad}
    if module is not None:
        wanted |= {f"parameter.{key}": p for key, p in module.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(output, list(wanted.values()), cotangent.to(output.dtype), allow_unused=True)
    return dict(zip(wanted, gradients, strict=True))
