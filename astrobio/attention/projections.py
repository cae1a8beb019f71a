"""What all attention layers share: four projections, heads, positions, caches and the check of masks."""

import torch
from torch import Tensor, nn

from astrobio.attention.alibi import published_alibi_slopes
from astrobio.attention.cache import Cache
from astrobio.attention.config import AttentionConfig
from astrobio.attention.functional import AttentionOptions
from astrobio.attention.masks import check_attention_bias, check_attention_mask, check_key_mask
from astrobio.attention.rotary import apply_rotary


class ProjectedAttention(nn.Module):
    """Base of attention layers: projects states to heads, and attended heads back to states.

    A subclass computes what lies between, in `forward`.
    """

    def __init__(self, config: AttentionConfig) -> None:
        """Build the projections that `config` describes."""
        super().__init__()
        self.config = config
        self.context_dim = config.embed_dim if config.context_dim is None else config.context_dim
        query_dim = config.num_heads * config.dim_per_head
        kv_dim = config.kv_heads * config.dim_per_head
        self.q_proj = nn.Linear(config.embed_dim, query_dim, bias=config.bias)
        self.k_proj = nn.Linear(self.context_dim, kv_dim, bias=config.bias)
        self.v_proj = nn.Linear(self.context_dim, kv_dim, bias=config.bias)
        self.out_proj = nn.Linear(query_dim, config.embed_dim, bias=config.bias)
        self.sinks = nn.Parameter(torch.zeros(config.num_heads)) if config.sinks else None

    def extra_repr(self) -> str:
        """The settings, shown when the module is printed."""
        return str(self.config)

    def projected(
        self, hidden_states: Tensor, *, positions: Tensor | None = None, past_length: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Query (B, H, L, D), key and value (B, Hkv, L, D) of a sequence that attends to itself, rotated by position.

        Args:
            hidden_states: (B, L, embed_dim).
            positions: (L,) or (B, L), for the rotary embedding; None counts from `past_length`.
            past_length: positions that came before.

        Raises:
            ValueError: `positions` have another shape, or the layer has no rotary embedding.
        """
        query = self.heads(self.q_proj, hidden_states)
        key, value = self.heads(self.k_proj, hidden_states), self.heads(self.v_proj, hidden_states)
        base = self.config.rotary_base
        if base is None:
            if positions is not None:
                raise ValueError("positions were given, but this layer has no rotary embedding (rotary_base is None)")
            return query, key, value
        if positions is None:
            positions = torch.arange(past_length, past_length + query.shape[2], device=query.device)
        return apply_rotary(query, positions, base), apply_rotary(key, positions, base), value

    def heads(self, projection: nn.Linear, states: Tensor) -> Tensor:
        """The projected states by heads, (B, L, features) -> (B, heads, L, D)."""
        projected: Tensor = projection(states)
        return projected.view(*projected.shape[:2], -1, self.config.dim_per_head).transpose(1, 2)

    def output(self, attended: Tensor) -> Tensor:
        """The states of attended heads, (B, H, L, D) -> (B, L, embed_dim)."""
        states: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return states

    def scoring(self, query: Tensor) -> AttentionOptions:
        """What the configuration says of the scores and weights, as options of `attention`."""
        config = self.config
        # Written out: a call of the TypedDict breaks the graph of torch.compile.
        return {
            "is_causal": config.is_causal,
            "window": config.window,
            "num_global_tokens": config.num_global_tokens,
            "soft_cap": config.soft_cap,
            "alibi_slopes": self._slopes(query) if config.alibi else None,
            "sinks": self.sinks,
            "dropout_p": config.dropout_p if self.training else 0.0,
        }

    def check_states(self, hidden_states: Tensor) -> None:
        """Accept (B, L, embed_dim).

        Raises:
            ValueError: another shape.
        """
        if hidden_states.dim() != 3 or hidden_states.shape[2] != self.config.embed_dim:
            raise ValueError(
                f"hidden_states must be (B, L, embed_dim = {self.config.embed_dim}), got {tuple(hidden_states.shape)}"
            )

    def _slopes(self, query: Tensor) -> Tensor:
        # Made for each call: a buffer would be rounded when the module is moved to a half type.
        dtype = torch.promote_types(query.dtype, torch.float32)
        return torch.tensor(published_alibi_slopes(self.config.num_heads), dtype=dtype, device=query.device)


def checked_masks(
    shape: tuple[int, int, int, int],
    *,
    key_mask: Tensor | None = None,
    attention_mask: Tensor | None = None,
    attention_bias: Tensor | None = None,
) -> AttentionOptions:
    """The given masks and bias as options of `attention`.

    Checked before a cache grows, so that a refused call leaves it as it was.

    Args:
        shape: (B, H, Lq, Lk).
        key_mask: bool, (B, Lk).
        attention_mask: bool, broadcastable to `shape`.
        attention_bias: floating point, broadcastable to `shape`.

    Raises:
        TypeError: wrong dtype.
        ValueError: wrong shape.
    """
    if key_mask is not None:
        check_key_mask(key_mask, batch=shape[0], key_length=shape[3])
    if attention_mask is not None:
        check_attention_mask(attention_mask, shape)
    if attention_bias is not None:
        check_attention_bias(attention_bias, shape)
    return {"key_mask": key_mask, "attention_mask": attention_mask, "attention_bias": attention_bias}


def masks_of_held_keys(masks: AttentionOptions, cache: Cache, new_length: int) -> AttentionOptions:
    """The masks over all positions seen, reduced to the keys that `cache` returns with `new_length` new ones."""
    positions = cache.positions(new_length)
    if positions is None:
        return masks

    def held(mask: Tensor | None) -> Tensor | None:
        if mask is None or mask.dim() == 0 or mask.shape[-1] == 1:  # one column stands for all
            return mask
        return mask.index_select(-1, positions.to(mask.device))

    return {
        "key_mask": held(masks.get("key_mask")),
        "attention_mask": held(masks.get("attention_mask")),
        "attention_bias": held(masks.get("attention_bias")),
    }
