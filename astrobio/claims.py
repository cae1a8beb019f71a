"""What the package's published figures of speed are measured on; `pyproject.toml` names these functions."""

import torch
from torch import Tensor

from astrobio.attention import attention

_TOKENS = 4096
_HEADS = 8
_HEAD_DIM = 64


def long_sequence(generator: torch.Generator) -> dict[str, Tensor]:
    """Query, key and value in float16, each (1, 8, 4096, 64)."""
    shape = (1, _HEADS, _TOKENS, _HEAD_DIM)
    return {name: torch.randn(shape, generator=generator).half() for name in ("query", "key", "value")}


def causal_eager(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention, written out."""
    return attention(query, key, value, is_causal=True, backend="eager")


def causal_fastest(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention by the backend that is chosen where none is named."""
    return attention(query, key, value, is_causal=True)
