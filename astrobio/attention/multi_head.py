"""Multi-head self-attention through the chain of backends, with every option of the configuration."""

from dataclasses import replace

import torch
from torch import Tensor

from astrobio.attention.cache import Cache, KVCache, SlidingKVCache
from astrobio.attention.config import AttentionConfig
from astrobio.attention.functional import AttentionOptions, BackendSelection, attention, last_selection
from astrobio.attention.projections import ProjectedAttention, checked_masks, masks_of_held_keys


class MultiHeadAttention(ProjectedAttention):
    """Self-attention over a sequence (Vaswani et al. 2017; grouped-query heads, Ainslie et al. 2023).

    The scores are scaled by 1 / sqrt(head_dim). Masks follow `astrobio.attention.masks`: bool, True = may attend.
    """

    def __init__(self, config: AttentionConfig) -> None:
        """Build the four projections that `config` describes.

        Raises:
            ValueError: `config` has settings of another mechanism.
        """
        config.refuse(type(self).__name__, "context_dim", "feature_map", "block_size")
        super().__init__(config)

    def forward(
        self,
        hidden_states: Tensor,
        *,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        attention_bias: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Attend within `hidden_states`, and to what `cache` holds.

        With Lk = L + cache.length (L without a cache), also where a sliding cache no longer holds them all:

        Args:
            hidden_states: (B, L, embed_dim).
            key_mask: bool, (B, Lk), True where a key may be attended to.
            attention_mask: bool, broadcastable to (B, H, L, Lk), True where a query may attend.
            attention_bias: floating point, broadcastable to (B, H, L, Lk), added to the scaled scores.
            positions: (L,) or (B, L), for the rotary embedding; None continues from the cache length. Causal rule,
                window and linear biases go by the order of the tokens, whatever their positions.
            cache: keys and values of earlier positions; the new ones are appended to it.

        Returns:
            (B, L, embed_dim). A position with nothing to attend to gives the output projection of zeros.

        Raises:
            TypeError: wrong dtype of a mask or of the bias.
            ValueError: wrong shapes, `positions` for a layer without rotary embedding, or a sliding cache that does not
                fit the layer. The cache is unchanged.
        """
        self.check_states(hidden_states)
        batch, length, _ = hidden_states.shape
        past_length = 0 if cache is None else cache.length
        masks = checked_masks(
            (batch, self.config.num_heads, length, past_length + length),
            key_mask=key_mask,
            attention_mask=attention_mask,
            attention_bias=attention_bias,
        )
        query, key, value = self.projected(hidden_states, positions=positions, past_length=past_length)
        if cache is not None:
            self._check_cache(cache)
            masks = masks_of_held_keys(masks, cache, length)
            key, value = cache.append(key, value)
        return self.output(self.attend(query, key, value, self.scoring(query) | masks))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions) -> Tensor:
        """The attended heads, (B, H, L, D); what a subclass computes in another way."""
        return attention(query, key, value, backend=self.config.backend, **options)

    def new_cache(self) -> Cache:
        """An empty cache that fits the layer."""
        return KVCache()

    def _check_cache(self, cache: Cache) -> None:
        if not isinstance(cache, SlidingKVCache):
            return
        config = self.config
        is_wide_enough = config.window is not None and config.window <= cache.window
        same_globals = config.num_global_tokens == cache.num_global_tokens
        if not (config.is_causal and is_wide_enough and same_globals):
            raise ValueError(
                f"a sliding cache of window {cache.window} and {cache.num_global_tokens} global tokens does not keep "
                f"what this layer needs: is_causal {config.is_causal}, window {config.window}, "
                f"num_global_tokens {config.num_global_tokens}"
            )
        if config.alibi and config.num_global_tokens:
            raise ValueError("a sliding cache does not keep the distances to global tokens, which alibi needs")


class FlashAttention(MultiHeadAttention):
    """Self-attention that never holds the whole matrix of weights, where a backend can do so (Dao et al. 2022).

    It computes what `MultiHeadAttention` does with the same weights, through the same chain of backends, and keeps
    which of them ran: `selection` after each call. A configuration that no fused backend supports falls through to
    the written-out one; `selection.not_used` then says why.
    """

    def __init__(self, config: AttentionConfig) -> None:
        """Build the layer; nothing has run yet."""
        super().__init__(config)
        self.selection: BackendSelection | None = None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions) -> Tensor:
        """The attended heads; the backend that computed them is noted in `selection`."""
        attended = super().attend(query, key, value, options)
        if not torch.compiler.is_compiling():
            self.selection = last_selection()
        return attended


class GroupedQueryAttention(MultiHeadAttention):
    """Self-attention whose query heads share fewer key/value heads (Ainslie et al. 2023; with one, Shazeer 2019)."""

    def __init__(self, config: AttentionConfig) -> None:
        """Build the layer.

        Raises:
            ValueError: `num_kv_heads` is left out, so that nothing says how many heads are shared.
        """
        if config.num_kv_heads is None:
            raise ValueError(f"grouped-query attention needs num_kv_heads, a divisor of num_heads {config.num_heads}")
        super().__init__(config)

    @classmethod
    def from_multi_head(cls, layer: MultiHeadAttention, num_kv_heads: int) -> "GroupedQueryAttention":
        """A layer with fewer key/value heads, each the mean of those it replaces (Ainslie et al. 2023, section 2.1).

        Args:
            layer: the trained layer; it is left as it is.
            num_kv_heads: a divisor of the layer's key/value heads.

        Raises:
            ValueError: it is no divisor.
        """
        old = layer.config
        if num_kv_heads < 1 or old.kv_heads % num_kv_heads:
            raise ValueError(f"{old.kv_heads} key/value heads cannot be pooled to {num_kv_heads}")
        grouped = cls(replace(old, num_kv_heads=num_kv_heads)).to(layer.q_proj.weight)
        pooled = {}
        for name, tensor in layer.state_dict().items():
            if name.startswith(("k_proj.", "v_proj.")):
                by_head = tensor.view(num_kv_heads, old.kv_heads // num_kv_heads, old.dim_per_head, -1)
                tensor = by_head.mean(dim=1).reshape(num_kv_heads * old.dim_per_head, *tensor.shape[1:])
            pooled[name] = tensor
        grouped.load_state_dict(pooled)
        return grouped
