"""What one call of attention asks for, after every check has passed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.attention.masks import causal_mask


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """One checked attention call.

    Attributes:
        query: (B, H, Lq, D).
        key: (B, Hkv, Lk, D), H a multiple of Hkv. Query head h reads key/value head h // (H // Hkv).
        value: (B, Hkv, Lk, D).
        is_causal: query i may attend to keys j <= i + Lk - Lq only (bottom-right alignment).
        allowed: bool, broadcastable to (B, H, Lq, Lk), True where a query may attend; None allows all.
            It comes on top of `is_causal`.
        bias: floating point without -inf, broadcastable to (B, H, Lq, Lk), added to the scaled scores.
        scale: factor on the dot products.
        dropout_p: probability with which an attention weight is dropped.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    is_causal: bool
    allowed: Tensor | None
    bias: Tensor | None
    scale: float
    dropout_p: float

    @property
    def group_size(self) -> int:
        """Query heads per key/value head."""
        return self.query.shape[1] // self.key.shape[1]

    @property
    def is_causal_restrictive(self) -> bool:
        """Whether the causal rule blocks any key: a single query, the last one, sees them all."""
        return self.is_causal and self.query.shape[2] > 1

    def combined_mask(self) -> Tensor | None:
        """`allowed` and the causal rule in one bool mask broadcastable to (B, H, Lq, Lk); None allows all."""
        if not self.is_causal_restrictive:
            return self.allowed
        causal = causal_mask(self.query.shape[2], self.key.shape[2], device=self.query.device)
        return causal if self.allowed is None else self.allowed & causal

    @property
    def compute_dtype(self) -> torch.dtype:
        """float32 for half types, the dtype of the query otherwise."""
        return torch.promote_types(self.query.dtype, torch.float32)
