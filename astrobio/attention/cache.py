"""The keys and values of earlier positions, kept for decoding."""

import torch
from torch import Tensor


class KVCache:
    """Keys and values of one attention layer, growing with every step.

    Tensors are kept as given, with their autograd graph: decode under `torch.no_grad()` unless gradients through
    earlier steps are wanted, or the graph of every step stays in memory. Each append copies what is already there, so
    n single steps cost O(n^2) memory traffic.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._key: Tensor | None = None
        self._value: Tensor | None = None

    @property
    def length(self) -> int:
        """Positions held so far."""
        return 0 if self._key is None else self._key.shape[2]

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add new positions at the end and return all keys and all values.

        Args:
            key: (B, Hkv, l, D), already rotated where a rotary embedding is used.
            value: (B, Hkv, l, D).

        Returns:
            Keys and values, each (B, Hkv, length, D).

        Raises:
            ValueError: key and value differ in shape, or batch, heads, head size, dtype or device differ from what
                is held. The cache is then unchanged.
        """
        if key.dim() != 4 or key.shape != value.shape:
            raise ValueError(
                f"key and value must share one shape (B, Hkv, l, D), got {tuple(key.shape)} and {tuple(value.shape)}"
            )
        if self._key is None or self._value is None:
            self._key, self._value = key, value
            return key, value
        for name, held, new in (("key", self._key, key), ("value", self._value, value)):
            if _signature(held) != _signature(new):
                raise ValueError(f"the cache holds a {name} with {_signature(held)}, got one with {_signature(new)}")
        self._key = torch.cat((self._key, key), dim=2)
        self._value = torch.cat((self._value, value), dim=2)
        return self._key, self._value


def _signature(tensor: Tensor) -> str:
    batch, heads, _, head_dim = tensor.shape
    return f"batch {batch}, {heads} heads of size {head_dim}, {tensor.dtype} on {tensor.device}"
