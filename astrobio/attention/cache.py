"""The keys and values of earlier positions, kept for decoding: growing, preallocated, or as long as a window.

A cache belongs to one attention layer. Keys are kept as the layer computes them, already rotated where it has a rotary
embedding.
"""

from typing import Protocol

import torch
from torch import Tensor


class Cache(Protocol):
    """What an attention layer needs of a cache."""

    @property
    def length(self) -> int:
        """Positions seen so far: the next one has this number."""

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add new positions at the end and return the keys and values that they may attend to.

        Args:
            key: (B, Hkv, l, D).
            value: (B, Hkv, l, D).

        Returns:
            Keys and values, each (B, Hkv, Lk, D), in the order of their positions, the new ones last.

        Raises:
            ValueError: key and value differ in shape, do not fit what is held, or there is no room. The cache is then
                unchanged.
        """

    def positions(self, new_length: int) -> Tensor | None:
        """The positions of the keys that the next `append` returns, (Lk,); None for all, in order."""


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
        """Add new positions at the end and return all keys and all values, as `Cache.append` says."""
        self._key, self._value = _joined(self._key, self._value, key, value)
        return self._key, self._value

    def positions(self, new_length: int) -> Tensor | None:
        """None: all positions are held."""
        return None


class StaticKVCache:
    """Room for a fixed number of positions, reserved at the start, so that no step allocates or copies what is held.

    New positions are written in place, which autograd cannot follow: it is for decoding under `torch.no_grad()`.
    """

    def __init__(
        self,
        *,
        batch_size: int,
        num_kv_heads: int,
        max_length: int,
        head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        """Reserve the room; 2 * batch_size * num_kv_heads * max_length * head_dim numbers.

        Raises:
            ValueError: a size is below 1.
        """
        shape = (batch_size, num_kv_heads, max_length, head_dim)
        if min(shape) < 1:
            raise ValueError(f"sizes (batch, key/value heads, length, head) must be at least 1, got {shape}")
        self._key = torch.zeros(shape, dtype=dtype, device=device)
        self._value = torch.zeros(shape, dtype=dtype, device=device)
        self._length = 0

    @property
    def length(self) -> int:
        """Positions held so far."""
        return self._length

    @property
    def max_length(self) -> int:
        """Positions for which there is room."""
        return self._key.shape[2]

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write new positions at the end and return all keys and all values, as `Cache.append` says.

        What is returned is a view, which later steps leave as it is.

        Raises:
            ValueError: also where autograd would have to follow, or the cache is full.
        """
        _check_fits(self._key, self._value, key, value)
        if torch.is_grad_enabled() and (key.requires_grad or value.requires_grad):
            raise ValueError("a static cache is written in place: decode under torch.no_grad(), or use KVCache")
        end = self._length + key.shape[2]
        if end > self.max_length:
            raise ValueError(
                f"the cache has room for {self.max_length} positions and holds {self._length}: no room for "
                f"{key.shape[2]} more"
            )
        self._key[:, :, self._length : end] = key
        self._value[:, :, self._length : end] = value
        self._length = end
        return self._key[:, :, :end], self._value[:, :, :end]

    def positions(self, new_length: int) -> Tensor | None:
        """None: all positions are held."""
        return None

    def clear(self) -> None:
        """Forget what is held, and keep the room."""
        self._length = 0


class SlidingKVCache:
    """What a causal layer with a window still needs: the last `window` - 1 positions, and the global ones.

    Memory does not grow with the sequence. Gradients as with `KVCache`.
    """

    def __init__(self, *, window: int, num_global_tokens: int = 0) -> None:
        """Start empty.

        Args:
            window: keys that a query sees, its own included.
            num_global_tokens: first positions that are kept for good.

        Raises:
            ValueError: `window` is below 1 or `num_global_tokens` below 0.
        """
        if window < 1 or num_global_tokens < 0:
            raise ValueError(f"window must be at least 1 and num_global_tokens 0, got {window}, {num_global_tokens}")
        self.window = window
        self.num_global_tokens = num_global_tokens
        self._key: Tensor | None = None
        self._value: Tensor | None = None
        self._length = 0

    @property
    def length(self) -> int:
        """Positions seen so far, of which most are no longer held."""
        return self._length

    @property
    def num_held(self) -> int:
        """Positions that are held."""
        return 0 if self._key is None else self._key.shape[2]

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add new positions and return what is held with them, as `Cache.append` says; then let go of what is old."""
        keys, values = _joined(self._key, self._value, key, value)
        self._length += key.shape[2]
        recent = min(self.window - 1, keys.shape[2])
        first = min(self.num_global_tokens, keys.shape[2] - recent)

        def kept(tensor: Tensor) -> Tensor:
            return torch.cat((tensor[:, :, :first], tensor[:, :, tensor.shape[2] - recent :]), dim=2)

        self._key, self._value = kept(keys), kept(values)
        return keys, values

    def positions(self, new_length: int) -> Tensor | None:
        """The positions of the keys that the next `append` of `new_length` returns: the global ones, then the last."""
        if self.num_held == self._length:
            return None
        first = torch.arange(self.num_global_tokens)
        recent = self.num_held - self.num_global_tokens
        return torch.cat((first, torch.arange(self._length - recent, self._length + new_length)))


def _joined(held_key: Tensor | None, held_value: Tensor | None, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    _check_fits(held_key, held_value, key, value)
    if held_key is None or held_value is None:
        return key, value
    return torch.cat((held_key, key), dim=2), torch.cat((held_value, value), dim=2)


def _check_fits(held_key: Tensor | None, held_value: Tensor | None, key: Tensor, value: Tensor) -> None:
    if key.dim() != 4 or key.shape != value.shape:
        raise ValueError(
            f"key and value must share one shape (B, Hkv, l, D), got {tuple(key.shape)} and {tuple(value.shape)}"
        )
    for name, held, new in (("key", held_key, key), ("value", held_value, value)):
        if held is not None and _signature(held) != _signature(new):
            raise ValueError(f"the cache holds a {name} with {_signature(held)}, got one with {_signature(new)}")


def _signature(tensor: Tensor) -> str:
    batch, heads, _, head_dim = tensor.shape
    return f"batch {batch}, {heads} heads of size {head_dim}, {tensor.dtype} on {tensor.device}"
