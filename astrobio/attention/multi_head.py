"""Multi-head attention with grouped-query heads, rotary positions and a key/value cache."""

import torch
from torch import Tensor, nn

from astrobio.attention.cache import KVCache
from astrobio.attention.config import AttentionConfig
from astrobio.attention.functional import attention
from astrobio.attention.masks import check_attention_bias, check_attention_mask, check_key_mask, combine_allowed
from astrobio.attention.rotary import apply_rotary


class MultiHeadAttention(nn.Module):
    """Self-attention over a sequence (Vaswani et al. 2017; grouped-query heads, Ainslie et al. 2023).

    The scores are scaled by 1 / sqrt(head_dim). Masks follow `astrobio.attention.masks`: bool, True = may attend.
    """

    def __init__(self, config: AttentionConfig) -> None:
        """Build the four projections that `config` describes."""
        super().__init__()
        self.config = config
        query_dim = config.num_heads * config.dim_per_head
        kv_dim = config.kv_heads * config.dim_per_head
        self.q_proj = nn.Linear(config.embed_dim, query_dim, bias=config.bias)
        self.k_proj = nn.Linear(config.embed_dim, kv_dim, bias=config.bias)
        self.v_proj = nn.Linear(config.embed_dim, kv_dim, bias=config.bias)
        self.out_proj = nn.Linear(query_dim, config.embed_dim, bias=config.bias)

    def forward(
        self,
        hidden_states: Tensor,
        *,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        attention_bias: Tensor | None = None,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Attend within `hidden_states`, and to what `cache` holds.

        With Lk = L + cache.length (L without a cache):

        Args:
            hidden_states: (B, L, embed_dim).
            key_mask: bool, (B, Lk), True where a key may be attended to.
            attention_mask: bool, broadcastable to (B, H, L, Lk), True where a query may attend.
            attention_bias: floating point, broadcastable to (B, H, L, Lk), added to the scaled scores.
            positions: (L,) or (B, L), for the rotary embedding; None continues from the cache length.
            cache: keys and values of earlier positions; the new ones are appended to it.

        Returns:
            (B, L, embed_dim). A position with nothing to attend to gives the output projection of zeros.

        Raises:
            TypeError: wrong dtype of a mask or of the bias.
            ValueError: wrong shapes, or `positions` for a layer without rotary embedding. The cache is unchanged.
        """
        if hidden_states.dim() != 3 or hidden_states.shape[2] != self.config.embed_dim:
            raise ValueError(
                f"hidden_states must be (B, L, embed_dim = {self.config.embed_dim}), got {tuple(hidden_states.shape)}"
            )
        past_length = 0 if cache is None else cache.length
        allowed = self._checked_masks(hidden_states, past_length, key_mask, attention_mask, attention_bias)
        query = self._heads(self.q_proj, hidden_states)
        key, value = self._heads(self.k_proj, hidden_states), self._heads(self.v_proj, hidden_states)
        query, key = self._rotated(query, key, positions, past_length)
        if cache is not None:
            key, value = cache.append(key, value)
        attended = attention(
            query,
            key,
            value,
            is_causal=self.config.is_causal,
            attention_mask=allowed,
            attention_bias=attention_bias,
            dropout_p=self.config.dropout_p if self.training else 0.0,
            backend=self.config.backend,
        )
        output: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))  # (B, L, H * head_dim) -> (B, L, embed_dim)
        return output

    def extra_repr(self) -> str:
        """The settings, shown when the module is printed."""
        return str(self.config)

    def _heads(self, projection: nn.Linear, hidden_states: Tensor) -> Tensor:
        projected: Tensor = projection(hidden_states)
        heads = projected.view(*projected.shape[:2], -1, self.config.dim_per_head)
        return heads.transpose(1, 2)  # (B, heads, L, head_dim)

    def _rotated(self, query: Tensor, key: Tensor, positions: Tensor | None, past_length: int) -> tuple[Tensor, Tensor]:
        base = self.config.rotary_base
        if base is None:
            if positions is not None:
                raise ValueError("positions were given, but this layer has no rotary embedding (rotary_base is None)")
            return query, key
        if positions is None:
            positions = torch.arange(past_length, past_length + query.shape[2], device=query.device)
        return apply_rotary(query, positions, base), apply_rotary(key, positions, base)

    def _checked_masks(
        self,
        hidden_states: Tensor,
        past_length: int,
        key_mask: Tensor | None,
        attention_mask: Tensor | None,
        attention_bias: Tensor | None,
    ) -> Tensor | None:
        # Checked before the cache grows, so that a refused call leaves it as it was.
        batch, length, _ = hidden_states.shape
        shape = (batch, self.config.num_heads, length, past_length + length)
        if attention_mask is not None:
            check_attention_mask(attention_mask, shape)
        if attention_bias is not None:
            check_attention_bias(attention_bias, shape)
        if key_mask is None:
            return attention_mask
        check_key_mask(key_mask, batch=batch, key_length=shape[3])
        return combine_allowed(key_mask[:, None, None, :], attention_mask)
