"""What an attention call goes to: an entry of the specs, or a class or function that was found without them.

Whatever it is, it takes tensors by the names that the parent gives them: a module `hidden_states` (B, L, embed_dim),
perhaps `context` (B, Lk, context_dim) and `key_mask` (bool, (B, Lk), True = may attend), a function `query`, `key`,
`value` and perhaps `mask`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from . import devices
from . import specs as specs_
from .guess.rebuilding import rebuilt
from .parts import SpecError
from .phases import phase

Leaves = Mapping[str, torch.Tensor | None]
DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Callee:
    """`call` takes the tensors and what the parent says of the call: its `kind`, `is_causal`, `chunks`."""

    module: torch.nn.Module | None
    call: Callable[[Leaves, Mapping[str, object]], object]

    @property
    def identity(self) -> dict[str, object]:
        """The class of the module, `module:qualname`, and its number of parameters; None of a function."""
        module = self.module
        if module is None:
            return {"class": None, "parameters": None}
        return {
            "class": f"{type(module).__module__}:{type(module).__qualname__}",
            "parameters": sum(p.numel() for p in module.parameters()),
        }


def callee_of(subject: Mapping[str, object], seed: int, dtype: str) -> Callee:
    """Build what `subject` names.

    Either `{"kind": "spec", "specs": module, "name": entry}`, or `{"kind": "guess", "path": file, "module": name or
    None, "qualname": class or function, "choices": ...}` with the choices of `guess.find`.
    """
    if subject["kind"] == "guess":
        return Callee(*rebuilt(subject, seed, DTYPES[dtype]))
    return _of_spec(specs_.entry(str(subject["specs"]), "ATTENTION", str(subject["name"])), seed, DTYPES[dtype])


def _of_spec(spec: Mapping[str, object], seed: int, dtype: torch.dtype) -> Callee:
    if "function" in spec:
        return Callee(None, lambda leaves, call: _function(spec, leaves, call))
    specs_.seed_everything(seed)
    with phase("build"):
        built = specs_.function(spec, "build")()
        if not isinstance(built, torch.nn.Module):
            raise SpecError(f"'build' returned {type(built).__name__}, not a torch.nn.Module")
    module = devices.placed_module(built.to(dtype)).eval()
    return Callee(module, lambda leaves, call: _module(spec, module, leaves, call))


def _function(spec: Mapping[str, object], leaves: Leaves, call: Mapping[str, object]) -> object:
    return specs_.function(spec, "forward")(
        leaves["query"], leaves["key"], leaves["value"], is_causal=bool(call["is_causal"]), mask=leaves["mask"]
    )


def _module(spec: Mapping[str, object], module: torch.nn.Module, leaves: Leaves, call: Mapping[str, object]) -> object:
    hidden_states = leaves["hidden_states"]
    if call["kind"] == "decode":
        assert hidden_states is not None
        masked = [] if leaves["key_mask"] is None else [leaves["key_mask"]]
        return specs_.function(spec, "decode")(module, list(hidden_states.split(call["chunks"], dim=1)), *masked)  # type: ignore[no-untyped-call]
    across = {} if leaves["context"] is None else {"context": leaves["context"]}
    return specs_.function(spec, "forward")(module, hidden_states, leaves["key_mask"], **across)
