"""The settings of one multi-head attention layer."""

import math
from dataclasses import dataclass

from astrobio.attention.backends import check_backend_name


@dataclass(frozen=True)
class AttentionConfig:
    """Settings of `MultiHeadAttention`.

    Attributes:
        embed_dim: size of the hidden states that go in and come out.
        num_heads: query heads.
        num_kv_heads: key/value heads, a divisor of `num_heads` (grouped-query attention, Ainslie et al. 2023);
            None means `num_heads`.
        head_dim: size of one head; None means embed_dim / num_heads, which must then be whole.
        is_causal: each position attends to itself and earlier ones only.
        rotary_base: base of the rotary position embedding; None leaves positions out.
        dropout_p: probability with which an attention weight is dropped, in training only.
        bias: whether the four projections add a bias.
        backend: "auto" or the name of a backend.

    Raises:
        ValueError: a setting is out of range or contradicts another.
    """

    embed_dim: int
    num_heads: int
    num_kv_heads: int | None = None
    head_dim: int | None = None
    is_causal: bool = False
    rotary_base: float | None = None
    dropout_p: float = 0.0
    bias: bool = False
    backend: str = "auto"

    def __post_init__(self) -> None:
        """Refuse settings that describe no layer."""
        for name in ("embed_dim", "num_heads", "num_kv_heads", "head_dim"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if self.head_dim is None and self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}; set head_dim explicitly"
            )
        if self.num_heads % self.kv_heads:
            raise ValueError(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.kv_heads}")
        if not 0.0 <= self.dropout_p < 1.0:
            raise ValueError(f"dropout_p must be in [0, 1), got {self.dropout_p}")
        if self.rotary_base is not None:
            if not (math.isfinite(self.rotary_base) and self.rotary_base > 0):
                raise ValueError(f"rotary_base must be positive and finite, got {self.rotary_base}")
            if self.dim_per_head % 2:
                raise ValueError(f"rotary embedding pairs dimensions: head_dim must be even, got {self.dim_per_head}")
        check_backend_name(self.backend)

    @property
    def kv_heads(self) -> int:
        """Key/value heads, with the default filled in."""
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

    @property
    def dim_per_head(self) -> int:
        """Size of one head, with the default filled in."""
        return self.embed_dim // self.num_heads if self.head_dim is None else self.head_dim
