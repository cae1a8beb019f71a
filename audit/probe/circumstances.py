"""The circumstances of a call: how its tensors lie in memory, the module's mode, its dropout, autocast.

All of them hold for one call; afterwards the module is as it was.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch.nn.modules.dropout import _DropoutNd

from . import devices
from .callee import DTYPES

# Attributes in which modules keep a probability that they hand to a function.
PROBABILITIES = frozenset(
    {"dropout", "dropout_p", "attn_dropout", "attention_dropout", "dropout_prob", "attn_drop", "drop", "drop_prob"}
)

_DROPOUT_CALL = re.compile(r"dropout_p\s*=[^,)]*|dropout\((?:[^()]|\([^()]*\))*\)")
_HANDED_ON: dict[type, frozenset[str]] = {}
_OF_SELF = re.compile(r"\bself\.(\w+)")


def arranged(tensor: torch.Tensor, layout: object) -> torch.Tensor:
    """Return the same numbers as a view that is not contiguous; what lies between them is NaN, or the opposite truth.

    Args:
        tensor: of at least two axes.
        layout: `transposed` (the last two axes change places in memory), `sliced` (a part of longer rows), `stepped`
            (every second element), `expanded` (the first sample for every one); None leaves it as it is.
    """
    if layout is None:
        return tensor
    if layout == "transposed":
        return tensor.transpose(-2, -1).contiguous().transpose(-2, -1)
    if layout == "expanded":
        return tensor[:1].expand_as(tensor)
    other = torch.full_like(tensor, torch.nan) if tensor.is_floating_point() else ~tensor
    if layout == "sliced":
        size = tensor.shape[-1]
        return torch.cat((other, tensor, other), dim=-1)[..., size : 2 * size]
    if layout == "stepped":
        return torch.stack((tensor, other), dim=-1).flatten(-2)[..., ::2]
    raise ValueError(f"no layout {layout!r}")


def open_gates(module: torch.nn.Module, seed: int) -> None:
    """Give numbers to trainable parameters that begin as zero, behind which everything else would be invisible.

    Vectors get magnitudes between a half and one, so that no gate stays nearly shut; matrices keep the size of what
    passes through them.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.requires_grad or torch.nn.parameter.is_lazy(parameter) or parameter.is_meta:
                continue
            if parameter.is_floating_point() and parameter.numel() and not parameter.any():
                if parameter.dim() < 2:
                    size = torch.rand(parameter.shape, generator=generator) / 2 + 0.5
                    noise = size * (torch.randint(0, 2, parameter.shape, generator=generator) * 2 - 1)
                else:
                    noise = torch.randn(parameter.shape, generator=generator) * parameter[0].numel() ** -0.5
                parameter.copy_(noise)


def cut_from_graphs(module: torch.nn.Module) -> None:
    """Take what a module keeps between calls, as a cache, out of the graph of the call that made it.

    That graph is gone after its backward pass, and each call is differentiated by itself.
    """
    for part in module.modules():
        for held in (part.__dict__, part._buffers):
            for name, value in list(held.items()):
                if isinstance(value, torch.Tensor) and value.grad_fn is not None:
                    held[name] = value.detach()


@contextmanager
def of_call(module: torch.nn.Module | None, call: Mapping[str, object]) -> Iterator[None]:
    """Bring about what the call asks for.

    Args:
        module: what is called; a function has no mode and no dropout.
        call: `training` (True is train mode), `dropout` (the probability of every dropout), `autocast` (a dtype).
    """
    with ExitStack() as stack:
        if module is not None and call.get("dropout") is not None:
            stack.enter_context(_dropout(module, float(str(call["dropout"]))))
        if module is not None and call.get("training"):
            stack.callback(module.eval)
            module.train()
        if call.get("autocast"):
            stack.enter_context(torch.autocast(devices.kind(), dtype=DTYPES[str(call["autocast"])]))
        yield


@contextmanager
def moved(module: torch.nn.Module | None, moves: object, inputs: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Move parameters along directions for one call, which takes no gradients.

    Args:
        module: that has them; a function has none.
        moves: triples of a parameter's name, the key of its direction in `inputs` and the length of the step; or None.
        inputs: tensors by their keys.
    """
    before: list[tuple[torch.Tensor, torch.Tensor]] = []
    with torch.no_grad():
        for name, key, step in moves if isinstance(moves, list) else ():
            assert module is not None
            parameter = module.get_parameter(str(name))
            before.append((parameter, parameter.clone()))
            parameter.add_(devices.placed(inputs[str(key)]).to(parameter.dtype) * float(step))
    try:
        yield
    finally:
        with torch.no_grad():
            for held, value in before:
                held.copy_(value)


@contextmanager
def _dropout(module: torch.nn.Module, probability: float) -> Iterator[None]:
    before: list[tuple[object, str, float]] = []
    for each in _with_settings(module):
        for name in sorted(rates_of(each)):
            value = vars(each)[name]
            if type(value) in (int, float) and 0 <= value < 1:
                before.append((each, name, value))
                object.__setattr__(each, name, probability)  # a frozen dataclass of settings has it too
    try:
        yield
    finally:
        for each, name, value in reversed(before):
            object.__setattr__(each, name, value)


def rates_of(holder: object) -> set[str]:
    """Return the attributes of a module, or of an object of settings, that hold the rate of a dropout."""
    if isinstance(holder, _DropoutNd):
        return {"p"}
    return set((PROBABILITIES | _handed_on(type(holder))) & vars(holder).keys())


def _handed_on(of: type) -> frozenset[str]:
    """Return the attributes that the methods of a class hand to a dropout, whatever they are called."""
    if of not in _HANDED_ON:
        _HANDED_ON[of] = _read_for_dropout(of)
    return _HANDED_ON[of]


def _read_for_dropout(of: type) -> frozenset[str]:
    found: set[str] = set()
    for base in of.__mro__[:-1]:
        if not base.__module__.startswith("torch."):
            try:
                text = inspect.getsource(base)
            except (OSError, TypeError):
                continue
            found.update(name for call in _DROPOUT_CALL.findall(text) for name in _OF_SELF.findall(call))
    return frozenset(found - {"training"})


def _with_settings(module: torch.nn.Module) -> Iterator[object]:
    """Yield every part of a module, and each object that one holds its settings in, such as `self.config`, once."""
    seen: set[int] = set()
    for part in module.modules():
        yield part
        for held in list(vars(part).values()):
            is_plain = hasattr(held, "__dict__") and not isinstance(held, torch.nn.Module | torch.Tensor | type)
            if is_plain and not callable(held) and id(held) not in seen:
                seen.add(id(held))
                yield held


def layers(module: torch.nn.Module | None) -> list[str]:
    """Return the names of torch's own layers in the module, and of those that its layers are derived from."""
    if module is None:
        return []
    bases = {base for each in module.modules() for base in type(each).__mro__}
    return sorted(base.__name__ for base in bases if base.__module__.startswith("torch.nn.modules."))
