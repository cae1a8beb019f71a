"""Linear attention: weights that are products of features, so that the sum over keys is kept as one matrix.

With features f, query i gets sum_j f(q_i).f(k_j) v_j / sum_j f(q_i).f(k_j). The sums over j of f(k_j) v_j^T and f(k_j)
do not depend on the query, so the cost is linear in the length (Katharopoulos et al. 2020, "Transformers are RNNs",
arXiv:2006.16236). With the causal rule the sums run over earlier positions, by chunks: a product of matrices within
each chunk, and a running sum from chunk to chunk.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from astrobio.attention.config import AttentionConfig
from astrobio.attention.favor import orthogonal_features, positive_features
from astrobio.attention.functional import check_tensors
from astrobio.attention.masks import check_key_mask
from astrobio.attention.projections import ProjectedAttention

FeatureMap = Callable[[Tensor], Tensor]
_CHUNK = 64


class LinearState:
    """What linear attention keeps of earlier positions: the sums over their keys, of a size that does not grow.

    Gradients are kept as with `KVCache`.
    """

    def __init__(self) -> None:
        """Start with no positions."""
        self.sums: Tensor | None = None
        self.length = 0


def elu_plus_one(x: Tensor) -> Tensor:
    """elu(x) + 1, positive features of the same size (Katharopoulos et al. 2020, equation 7)."""
    return F.elu(x) + 1


def linear_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    is_causal: bool = False,
    key_mask: Tensor | None = None,
    feature_map: FeatureMap = elu_plus_one,
    key_feature_map: FeatureMap | None = None,
    state: LinearState | None = None,
    chunk_size: int = _CHUNK,
) -> Tensor:
    """Attention whose weights are products of features, in time and memory linear in the length.

    Half types are computed in float32 and rounded once, at the end: sums over keys lose what a half type cannot hold.

    Args:
        query: (B, H, Lq, D).
        key: (B, Hkv, Lk, D), H a multiple of Hkv, shared as in `attention`.
        value: (B, Hkv, Lk, D).
        is_causal: query i sees keys j <= i + Lk - Lq only.
        key_mask: bool, (B, Lk), True where a key may be attended to.
        feature_map: (..., D) to (..., M), not negative.
        key_feature_map: that of keys where it differs; None is the same.
        state: the sums over earlier positions, which are added and brought up to date. Causal with Lq = Lk only.
        chunk_size: positions in a chunk of the causal form.

    Returns:
        (B, H, Lq, D) in the dtype of `query`. A query with nothing to attend to gives zeros.

    Raises:
        TypeError: the mask is not boolean.
        ValueError: shapes that do not fit, or a state where it means nothing.
    """
    _check(query, key, value, is_causal, key_mask, state, chunk_size)
    dtype, group = torch.promote_types(query.dtype, torch.float32), query.shape[1] // key.shape[1]
    with torch.autocast(query.device.type, enabled=False):
        query_features = feature_map(query.to(dtype))  # (B, H, Lq, M)
        key_features = (feature_map if key_feature_map is None else key_feature_map)(key.to(dtype))
        if key_mask is not None:
            key_features = key_features.masked_fill(~key_mask[:, None, :, None], 0.0)
        key_features = key_features.repeat_interleave(group, dim=1)
        # The last column of the values is one, so that its sum is the divisor of the others.
        values = F.pad(value.to(dtype), (0, 1), value=1.0).repeat_interleave(group, dim=1)
        if is_causal:
            sums = _causal(query_features, key_features, values, state, chunk_size)
        else:
            sums = query_features @ (key_features.transpose(-2, -1) @ values)
        total = sums[..., -1:]
        # Nothing to attend to, or only weights that are zero in this precision.
        is_empty = total <= 0
        return (sums[..., :-1] / total.masked_fill(is_empty, 1.0)).masked_fill(is_empty, 0.0).to(query.dtype)


def _causal(query: Tensor, key: Tensor, values: Tensor, state: LinearState | None, chunk_size: int) -> Tensor:
    """The sums over earlier keys and the own one, (B, H, Lq, D + 1), of features (B, H, L, M)."""
    earlier = key.shape[2] - query.shape[2]
    carried = query.new_zeros(*query.shape[:2], query.shape[3], values.shape[3])
    if state is not None and state.sums is not None:
        carried = state.sums
    if earlier > 0:  # keys before the first query are seen by all
        carried = carried + key[:, :, :earlier].transpose(-2, -1) @ values[:, :, :earlier]
        key, values = key[:, :, earlier:], values[:, :, earlier:]
    blind = query[:, :, : max(0, -earlier)]  # queries before the first key
    query = query[:, :, blind.shape[2] :]
    length = query.shape[2]
    chunk_size = max(1, min(chunk_size, length))
    query, key, values = (_chunks(tensor, chunk_size) for tensor in (query, key, values))  # (B, H, chunks, chunk, ...)
    by_chunk = key.transpose(-2, -1) @ values  # (B, H, chunks, M, D + 1)
    until = torch.cat((carried.unsqueeze(2), by_chunk), dim=2).cumsum(dim=2)
    within = (query @ key.transpose(-2, -1)).tril() @ values
    sums = (query @ until[:, :, :-1] + within).flatten(2, 3)[:, :, :length]
    if state is not None:
        state.sums, state.length = until[:, :, -1], state.length + length
    return torch.cat((blind.new_zeros(*blind.shape[:3], sums.shape[3]), sums), dim=2)


def _chunks(tensor: Tensor, size: int) -> Tensor:
    batch, heads, length, features = tensor.shape
    count = -(-length // size)
    return F.pad(tensor, (0, 0, 0, count * size - length)).view(batch, heads, count, size, features)


def _check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    is_causal: bool,
    key_mask: Tensor | None,
    state: LinearState | None,
    chunk_size: int,
) -> None:
    check_tensors(query, key, value)
    if key_mask is not None:
        check_key_mask(key_mask, batch=key.shape[0], key_length=key.shape[2])
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
    if state is not None and (not is_causal or query.shape[2] != key.shape[2]):
        raise ValueError("a state continues causal attention with as many queries as keys")


class LinearAttention(ProjectedAttention):
    """Self-attention whose cost is linear in the length, by features of queries and keys.

    `feature_map` of the configuration is "elu_plus_one" (Katharopoulos et al. 2020), another function than softmax
    attention, or "performer", which approximates softmax attention (FAVOR+, Choromanski et al. 2021); what the
    approximation errs by is said in `astrobio.attention.favor`.
    """

    features: Tensor

    def __init__(self, config: AttentionConfig) -> None:
        """Build the projections and, for the performer, draw its random features, which the state dict keeps.

        Raises:
            ValueError: `config` has settings that linear attention has no use for, or no feature map.
        """
        config.refuse(
            "LinearAttention",
            *("rotary_base", "alibi", "window", "num_global_tokens", "soft_cap", "sinks", "context_dim", "block_size"),
            *("dropout_p", "backend"),
        )
        if config.feature_map is None:
            raise ValueError("linear attention needs a feature_map: elu_plus_one or performer")
        super().__init__(config)
        if config.feature_map == "performer":
            count = 4 * config.dim_per_head if config.num_features is None else config.num_features
            self.register_buffer("features", orthogonal_features(count, config.dim_per_head))

    def forward(
        self, hidden_states: Tensor, *, key_mask: Tensor | None = None, cache: LinearState | None = None
    ) -> Tensor:
        """Attend within `hidden_states`, and to what `cache` sums up.

        Args:
            hidden_states: (B, L, embed_dim).
            key_mask: bool, (B, L), True where a position of `hidden_states` may be attended to.
            cache: the sums over earlier positions, for decoding; they are brought up to date.

        Returns:
            (B, L, embed_dim). A position with nothing to attend to gives the output projection of zeros.

        Raises:
            TypeError: the mask is not boolean.
            ValueError: wrong shapes, or a cache for a layer that is not causal.
        """
        self.check_states(hidden_states)
        query, key, value = self.projected(hidden_states)
        query_map: FeatureMap = elu_plus_one
        key_map: FeatureMap = elu_plus_one
        if self.config.feature_map == "performer":
            query_map, key_map = (positive_features(self.features, is_query=each) for each in (True, False))
        attended = linear_attention(
            query,
            key,
            value,
            is_causal=self.config.is_causal,
            key_mask=key_mask,
            feature_map=query_map,
            key_feature_map=key_map,
            state=cache,
        )
        return self.output(attended)

    def new_cache(self) -> LinearState:
        """An empty cache that fits the layer."""
        return LinearState()
