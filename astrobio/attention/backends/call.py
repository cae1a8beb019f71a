"""What one call of attention asks for, after every check has passed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.attention.alibi import linear_bias
from astrobio.attention.masks import combine_allowed, positional_mask


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionCall:
    """One checked attention call.

    The score of a query and a key is scale * q.k, then capped, then raised by `bias` and lowered by the linear bias.

    Attributes:
        query: (B, H, Lq, D).
        key: (B, Hkv, Lk, D), H a multiple of Hkv. Query head h reads key/value head h // (H // Hkv).
        value: (B, Hkv, Lk, D).
        is_causal: query i may attend to keys j <= i + Lk - Lq only (bottom-right alignment).
        key_mask: bool, (B, Lk), True where a key may be attended to; None allows all.
        allowed: bool, broadcastable to (B, H, Lq, Lk), True where a query may attend; None allows all.
            Causal rule, window, `key_mask` and `allowed` are combined with "and".
        bias: floating point without -inf, broadcastable to (B, H, Lq, Lk), added to the scaled scores.
        scale: factor on the dot products.
        dropout_p: probability with which an attention weight is dropped.
        window: query i may attend to keys with |i + Lk - Lq - j| < window only; None allows all.
        num_global_tokens: the window holds neither for the first keys, as many as this, nor for queries that stand
            there, 0 <= i + Lk - Lq < num_global_tokens. Above 0 only with a window.
        soft_cap: scores s become soft_cap * tanh(s / soft_cap); None leaves them.
        alibi_slopes: (H,), floating point; slope * |i + Lk - Lq - j| is subtracted from the scores of a head.
        sinks: (H,), floating point: one more score for each head, which joins the softmax and goes to no value.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scale: float
    is_causal: bool = False
    key_mask: Tensor | None = None
    allowed: Tensor | None = None
    bias: Tensor | None = None
    dropout_p: float = 0.0
    window: int | None = None
    num_global_tokens: int = 0
    soft_cap: float | None = None
    alibi_slopes: Tensor | None = None
    sinks: Tensor | None = None

    @property
    def group_size(self) -> int:
        """Query heads per key/value head."""
        return self.query.shape[1] // self.key.shape[1]

    @property
    def is_causal_restrictive(self) -> bool:
        """Whether the causal rule blocks any key: a single query, the last one, sees them all."""
        return self.is_causal and self.query.shape[2] > 1

    @property
    def is_window_restrictive(self) -> bool:
        """Whether the window can block any key."""
        return self.window is not None and self.window < max(self.query.shape[2], self.key.shape[2])

    @property
    def needs_gradients(self) -> bool:
        """Whether autograd records this call."""
        tensors = (self.query, self.key, self.value, self.bias, self.alibi_slopes, self.sinks)
        return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)

    @property
    def options(self) -> frozenset[str]:
        """What the call asks for beyond plain attention, by the names of the attributes above."""
        used = {
            "is_causal": self.is_causal_restrictive,
            "key_mask": self.key_mask is not None,
            "allowed": self.allowed is not None,
            "bias": self.bias is not None,
            "dropout_p": self.dropout_p > 0,
            "window": self.is_window_restrictive,
            "num_global_tokens": self.is_window_restrictive and self.num_global_tokens > 0,
            "soft_cap": self.soft_cap is not None,
            "alibi_slopes": self.alibi_slopes is not None,
            "sinks": self.sinks is not None,
        }
        return frozenset(name for name, is_used in used.items() if is_used)

    def combined_mask(self) -> Tensor | None:
        """Every rule and mask in one bool mask broadcastable to (B, H, Lq, Lk); None allows all."""
        positional = positional_mask(
            self.query.shape[2],
            self.key.shape[2],
            is_causal=self.is_causal,
            window=self.window,
            num_global_tokens=self.num_global_tokens,
            device=self.query.device,
        )
        by_key = None if self.key_mask is None else self.key_mask[:, None, None, :]
        return combine_allowed(self.allowed, by_key, positional)

    def linear_bias(self, dtype: torch.dtype) -> Tensor | None:
        """What `alibi_slopes` adds to the scores, (H, Lq, Lk); None without slopes."""
        if self.alibi_slopes is None:
            return None
        return linear_bias(self.alibi_slopes.to(dtype), self.query.shape[2], self.key.shape[2])

    @property
    def compute_dtype(self) -> torch.dtype:
        """float32 for half types, the dtype of the query otherwise."""
        return torch.promote_types(self.query.dtype, torch.float32)
