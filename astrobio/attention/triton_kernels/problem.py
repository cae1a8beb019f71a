"""What the kernels are launched for: tensors, settings and sizes, without any of Triton."""

from dataclasses import dataclass

import torch
from torch import Tensor

Strides = tuple[int, int, int]
"""Of batch, head and position; the features of a position lie side by side."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """One attention problem, dense or packed.

    Dense tensors are (B, H, L, D); of packed ones the sequences lie behind one another, (total, H, D).

    Attributes:
        scale: factor on the dot products.
        is_half: inputs are float16 or bfloat16, and weights are rounded to them before they meet the values.
        is_causal: query i sees keys j <= i + Lk - Lq only, with the lengths of its own sequence.
        window: query i sees keys with |i + Lk - Lq - j| < window only; None allows all.
        soft_cap: scores s become soft_cap * tanh(s / soft_cap); None leaves them.
        slopes: (H,), float32; slope * |i + Lk - Lq - j| is subtracted from the scores.
        key_mask: bool, (B, Lk), True where a key may be attended to; dense only.
        allowed: bool, (B, H, Lq, Lk), any strides; dense only.
        bias: floating point, (B, H, Lq, Lk), any strides; dense only. It gets no gradient.
        starts_q: (B + 1,), int32: where each packed sequence of queries begins, and where the last one ends.
        starts_k: likewise of keys.
        longest_q: the longest packed sequence of queries.
        longest_k: the longest packed sequence of keys.
    """

    scale: float
    is_half: bool
    is_causal: bool = False
    window: int | None = None
    soft_cap: float | None = None
    slopes: Tensor | None = None
    key_mask: Tensor | None = None
    allowed: Tensor | None = None
    bias: Tensor | None = None
    starts_q: Tensor | None = None
    starts_k: Tensor | None = None
    longest_q: int = 0
    longest_k: int = 0

    @property
    def is_scale_alone(self) -> bool:
        """Whether scores are the products times a positive factor, which the exponential then takes in for free."""
        return self.scale > 0 and self.soft_cap is None and self.slopes is None and self.bias is None

    @property
    def is_packed(self) -> bool:
        """Whether the sequences lie behind one another."""
        return self.starts_q is not None

    def num_sequences(self, query: Tensor) -> int:
        """B."""
        return query.shape[0] if self.starts_q is None else len(self.starts_q) - 1

    def lengths(self, query: Tensor, key: Tensor) -> tuple[int, int]:
        """Lq and Lk, of packed sequences the longest."""
        return (self.longest_q, self.longest_k) if self.is_packed else (query.shape[2], key.shape[2])

    def strides(self, tensor: Tensor) -> Strides:
        """Of batch, head and position; packed tensors have no batch."""
        if self.is_packed:
            return 0, tensor.stride(1), tensor.stride(0)
        return tensor.stride(0), tensor.stride(1), tensor.stride(2)

    def row_numbers(self, query: Tensor) -> Tensor:
        """Uninitialised float32, one number for each query and head: (B, H, Lq), or (H, total) of packed sequences."""
        shape = (query.shape[1], query.shape[0]) if self.is_packed else query.shape[:3]
        return torch.empty(shape, dtype=torch.float32, device=query.device)

    def row_strides(self, row_numbers: Tensor) -> tuple[int, int]:
        """Of batch and head in what `row_numbers` returns; the positions lie side by side."""
        return (0, row_numbers.stride(0)) if self.is_packed else (row_numbers.stride(0), row_numbers.stride(1))


def with_features_side_by_side(tensor: Tensor) -> Tensor:
    """The tensor, copied only where the features of a position are apart in memory."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
