"""The settings of one attention layer."""

import math
from dataclasses import dataclass, fields

from astrobio.attention.backends import check_backend_name
from astrobio.attention.functional import check_soft_cap
from astrobio.attention.masks import check_window

FEATURE_MAPS = ("elu_plus_one", "performer")


@dataclass(frozen=True)
class AttentionConfig:
    """Settings of the attention layers of this package. A layer refuses settings that it has no use for.

    Attributes:
        embed_dim: size of the hidden states that go in and come out.
        num_heads: query heads.
        num_kv_heads: key/value heads, a divisor of `num_heads` (grouped-query attention, Ainslie et al. 2023; with one
            it is multi-query attention, Shazeer 2019); None means `num_heads`.
        head_dim: size of one head; None means embed_dim / num_heads, which must then be whole.
        is_causal: each position attends to itself and earlier ones only.
        rotary_base: base of the rotary position embedding (Su et al. 2021); None leaves positions out.
        alibi: subtract the distance times the published slope of each head from the scores (Press et al. 2022).
        window: keys that a position sees at most on either side, its own included; None sees all.
        num_global_tokens: first positions that see every position and are seen by every position, whatever the window
            (Beltagy et al. 2020). Needs a window.
        soft_cap: scaled scores s become soft_cap * tanh(s / soft_cap) (Gemma Team 2024).
        sinks: learn one more score for each head, whose share of the softmax goes to no value (after Xiao et al. 2024).
        context_dim: size of the states of another sequence that cross attention reads; None means `embed_dim`.
        feature_map: of linear attention: "elu_plus_one" (Katharopoulos et al. 2020) or "performer" (Choromanski et
            al. 2021); None elsewhere.
        num_features: random features of the performer; None means 4 * head_dim.
        block_size: positions in a block of block-sparse attention; None elsewhere.
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
    alibi: bool = False
    window: int | None = None
    num_global_tokens: int = 0
    soft_cap: float | None = None
    sinks: bool = False
    context_dim: int | None = None
    feature_map: str | None = None
    num_features: int | None = None
    block_size: int | None = None
    dropout_p: float = 0.0
    bias: bool = False
    backend: str = "auto"

    def __post_init__(self) -> None:
        """Refuse settings that describe no layer."""
        for name in ("embed_dim", "num_heads", "num_kv_heads", "head_dim", "context_dim", "num_features", "block_size"):
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
        self._check_positions()
        check_window(self.window, self.num_global_tokens)
        check_soft_cap(self.soft_cap)
        if self.feature_map is not None and self.feature_map not in FEATURE_MAPS:
            raise ValueError(f"unknown feature_map {self.feature_map!r}; choose from: {', '.join(FEATURE_MAPS)}")
        if self.num_features is not None and self.feature_map != "performer":
            raise ValueError("num_features is a setting of feature_map 'performer'")
        check_backend_name(self.backend)

    def _check_positions(self) -> None:
        if self.rotary_base is None:
            return
        if not (math.isfinite(self.rotary_base) and self.rotary_base > 0):
            raise ValueError(f"rotary_base must be positive and finite, got {self.rotary_base}")
        if self.dim_per_head % 2:
            raise ValueError(f"rotary embedding pairs dimensions: head_dim must be even, got {self.dim_per_head}")
        if self.alibi:
            raise ValueError("rotary_base and alibi are two position embeddings: choose one")

    @property
    def kv_heads(self) -> int:
        """Key/value heads, with the default filled in."""
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

    @property
    def dim_per_head(self) -> int:
        """Size of one head, with the default filled in."""
        return self.embed_dim // self.num_heads if self.head_dim is None else self.head_dim

    def refuse(self, layer: str, *settings: str) -> None:
        """Accept only the defaults of settings that a layer has no use for, so that none is ignored in silence.

        Args:
            layer: name of the layer, for the message.
            settings: names of the attributes above that must be at their defaults.

        Raises:
            ValueError: one is not; the message names it.
        """
        defaults = {setting.name: setting.default for setting in fields(self)}
        for name in settings:
            if getattr(self, name) != defaults[name]:
                raise ValueError(f"{layer} has no use for {name}, which is {getattr(self, name)!r}")
