"""Gates that start closed: a factor or a last layer of zeros, or nearly so, behind which nothing shows.

Zero-initialised projections, residual gates and layer scales are how many modules are meant to begin. What such a
module computes is judged with its gates open.
"""

import torch

_CLOSED = 1e-3  # layer scales begin at 1e-4, 1e-5 or 1e-6, gates at 0
_SEED = 40_009
_OPEN = 0.5  # standard deviation of an opened gate: of the order of one, and no two alike


def closed(module: torch.nn.Module) -> list[str]:
    """Return the names of the parameters that are one number close to zero; biases usually are and hide nothing."""
    named = module.named_parameters()
    return [name for name, p in named if not name.endswith("bias") and p.numel() and _is_closed(p)]


def _is_closed(parameter: torch.nn.Parameter) -> bool:
    first = parameter.detach().flatten()[0]
    return bool((parameter == first).all()) and abs(float(first)) <= _CLOSED


def open_(module: torch.nn.Module, names: list[str]) -> None:
    """Give these parameters normal numbers, the same each time."""
    generator = torch.Generator().manual_seed(_SEED)
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for name in names:
            drawn = torch.randn(parameters[name].shape, generator=generator, dtype=torch.float64) * _OPEN
            parameters[name].copy_(drawn)
