"""The bases of rotary embeddings that a module's buffers tell: frequencies, or tables of cosines and sines."""

import math

import torch

_MOST = 8  # bases, of one module
_WIDEST = 4096  # features of one head
_LARGEST = 1e12  # base
# Of a cosine in float32; the angle is off by as many times more as it is small.
_ROUNDED = 1e-7
_SAME = 1e-3  # relative, of frequencies and of a base and the round number that it stands for


def bases(module: torch.nn.Module | None) -> list[float]:
    """Return each base that some buffer was made of, in the order of the buffers."""
    found: list[float] = []
    for buffer in [] if module is None else module.buffers():
        base = _base(_frequencies(buffer.detach().squeeze())) if _is_read(buffer) else None
        if base is not None and base not in found:
            found.append(base)
    return found[:_MOST]


def _is_read(buffer: torch.Tensor) -> bool:
    is_number = buffer.is_floating_point() or buffer.is_complex()
    is_dense = buffer.layout == torch.strided and buffer.device.type != "meta"
    return is_number and is_dense and buffer.numel() > 0 and buffer.dim() > 0 and buffer.shape[-1] <= _WIDEST


def _frequencies(table: torch.Tensor) -> list[float]:
    """Return the angle of each pair at the second position; empty where this is no such table."""
    if table.dim() == 1 and not table.is_complex():
        return [float(each) for each in table]
    if table.dim() != 2 or len(table) < 2:
        return []
    first, second = table[:2].to(torch.complex128 if table.is_complex() else torch.float64)
    if table.is_complex():
        angles = second.angle()
    elif bool((first == 1).all()):
        angles = second.clamp(-1, 1).acos()
    elif bool((first == 0).all()):
        angles = second.clamp(-1, 1).asin()
    else:
        return []
    half = len(angles) // 2
    if len(angles) == 2 * half and torch.allclose(angles[:half], angles[half:]):
        angles = angles[:half]
    elif len(angles) == 2 * half and torch.allclose(angles[::2], angles[1::2]):
        angles = angles[::2]
    return [float(each) for each in angles]


def _base(frequencies: list[float]) -> float | None:
    """Return the base of base^(-i/n), i = 0 to n - 1; None where the frequencies are no such series."""
    count = len(frequencies)
    if count < 2 or abs(frequencies[0] - 1) > _SAME or not 0 < frequencies[1] < 1:
        return None
    if -count * math.log(frequencies[1]) > math.log(_LARGEST):
        return None
    base = frequencies[1] ** -count
    wanted = [base ** (-i / count) for i in range(count)]
    if any(abs(each - want) > _SAME * want + _ROUNDED / want for each, want in zip(frequencies, wanted, strict=True)):
        return None
    # Tables are rounded, and a base is a round number wherever it was chosen by a person.
    rounded = round(base, 2 - math.floor(math.log10(base)))
    return rounded if abs(rounded - base) <= _SAME * base else base
