"""What each attention mechanism and each backend promises."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from astrobio.attention import (
    AttentionConfig,
    AxialAttention3d,
    BlockSparseAttention,
    CrossAttention,
    FlashAttention,
    GroupedQueryAttention,
    LinearAttention,
    MultiHeadAttention,
    RingAttention,
    SlidingWindowAttention,
    StaticKVCache,
    attention,
    big_bird_layout,
)
from astrobio.attention.backends import BACKENDS, PORTABLE_BACKENDS, AttentionCall
from astrobio.attention.backends.libraries import is_installed
from astrobio.attention.linear import elu_plus_one, linear_attention
from astrobio.attention.state_space import selective_scan
from astrobio.attention.triton_kernels.interpreter import is_interpreting


def _path(item: Callable[..., object]) -> str:
    return f"{item.__module__}:{item.__qualname__}"


def _forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    output: Tensor = module(hidden_states, key_mask=key_mask)
    return output


def _decode(module: nn.Module, chunks: list[Tensor]) -> Tensor:
    """The outputs of consecutive chunks, each (B, l_i, embed_dim), that share the layer's own kind of cache."""
    cache = module.new_cache()  # type: ignore[operator]
    return torch.cat([module(chunk, cache=cache) for chunk in chunks], dim=1)


def _decode_in_place(module: nn.Module, chunks: list[Tensor]) -> Tensor:
    """The same with a cache whose room is reserved at the start."""
    length, config = sum(chunk.shape[1] for chunk in chunks), module.config
    assert isinstance(config, AttentionConfig)
    cache = StaticKVCache(
        batch_size=chunks[0].shape[0],
        num_kv_heads=config.kv_heads,
        max_length=length,
        head_dim=config.dim_per_head,
        dtype=chunks[0].dtype,
        device=chunks[0].device,
    )
    with torch.no_grad():
        return torch.cat([module(chunk, cache=cache) for chunk in chunks], dim=1)


def _cross_forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    output: Tensor = module(hidden_states, hidden_states, key_mask=key_mask)
    return output


def _pairs(key_mask: Tensor | None) -> Tensor | None:
    """A mask of keys as one of pairs, which some layers take beside it: (B, 1, 1, L)."""
    return None if key_mask is None else key_mask[:, None, None, :]


def _pairs_forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    output: Tensor = module(hidden_states, attention_mask=_pairs(key_mask))
    return output


def _cross_pairs_forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    output: Tensor = module(hidden_states, hidden_states, attention_mask=_pairs(key_mask))
    return output


def _axial_forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    """What attention along the width adds to one line of a cube."""
    cube = hidden_states.transpose(1, 2)[:, :, None, None, :]
    added = module(cube, cell_mask=None if key_mask is None else key_mask[:, None, None, :]) - cube
    line: Tensor = added[:, :, 0, 0, :].transpose(1, 2)
    return line


def _contract(config: AttentionConfig) -> dict[str, object]:
    """What the layers promise that are projections around attention."""
    return {
        "embed_dim": config.embed_dim,
        "num_heads": config.num_heads,
        "num_kv_heads": config.kv_heads,
        "head_dim": config.dim_per_head,
        "is_causal": config.is_causal,
        "scale": None,
        "key_mask": True,
        "rotary_base": config.rotary_base,
        "rotary_layout": "half",
        "window": config.window,
        "num_global_tokens": config.num_global_tokens or None,
        "soft_cap": config.soft_cap,
        "alibi_slopes": "published" if config.alibi else None,
        "sinks": "sinks" if config.sinks else None,
        "projections": _PROJECTIONS,
        "empty_row": "zeros",
    }


def _layer_spec(
    layer: type[MultiHeadAttention] | type[RingAttention],
    config: AttentionConfig,
    *,
    decode: Callable[[nn.Module, list[Tensor]], Tensor] | None = None,
) -> dict[str, object]:
    spec: dict[str, object] = {
        "class": _path(layer),
        "build": lambda: layer(config),
        "forward": _forward,
        "contract": _contract(config),
    }
    return spec if decode is None else {**spec, "decode": decode}


def _ring_spec(config: AttentionConfig) -> dict[str, object]:
    return {**_layer_spec(RingAttention, config), "contract": {**_contract(config), "context_parallel": True}}


def _function_spec(backend: str) -> dict[str, object]:
    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        return attention(query, key, value, is_causal=is_causal, attention_mask=mask, backend=backend)

    return {
        "function": _path(attention),
        "forward": forward,
        "contract": {
            "num_heads": 6,
            "num_kv_heads": 3,
            "head_dim": 10,
            "is_causal": True,
            "scale": None,
            "key_mask": True,
            "empty_row": "zeros",
        },
    }


def _bias_spec(backend: str) -> dict[str, object]:
    """Keys that are hidden by a bias of -inf, with an entry for each score."""

    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        shape = (*query.shape[:3], key.shape[2])
        bias = None if mask is None else query.new_zeros(shape).masked_fill(~mask, -math.inf)
        return attention(query, key, value, is_causal=is_causal, attention_bias=bias, backend=backend)

    return {**_function_spec(backend), "forward": forward}


def _windowed_spec(backend: str, *, window: int, num_global_tokens: int | None = None) -> dict[str, object]:
    """A window, and the tokens that it does not concern, beside a mask of pairs."""
    attend = partial(attention, window=window, num_global_tokens=num_global_tokens or 0, backend=backend)

    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        return attend(query, key, value, is_causal=is_causal, attention_mask=mask)

    plain = _function_spec(backend)
    declared = plain["contract"]
    assert isinstance(declared, dict)
    contract = {**declared, "window": window, "num_global_tokens": num_global_tokens}
    return {**plain, "forward": forward, "contract": contract}


def _chunks_spec() -> dict[str, object]:
    """Linear attention in chunks shorter than the inputs, what is left of each carried on to the next."""

    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        key_mask = None if mask is None else mask[:, 0, 0]
        return linear_attention(query, key, value, is_causal=is_causal, key_mask=key_mask, chunk_size=3)

    contract = {"num_heads": 6, "num_kv_heads": 3, "head_dim": 10, "is_causal": True, "key_mask": True}
    return {
        "function": _path(linear_attention),
        "forward": forward,
        "contract": {**contract, "feature_map": "elu_plus_one", "rows_sum_to_one": True, "empty_row": "zeros"},
    }


def _library_spec(name: str, library: str) -> dict[str, object]:
    """A backend of a library for GPUs. An auditor puts an exact stand-in in the library's place where there is none."""
    backend = BACKENDS[name]

    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        assert mask is None  # none is declared
        scale = query.shape[-1] ** -0.5
        return backend.run(AttentionCall(query=query, key=key, value=value, scale=scale, is_causal=is_causal))

    return {
        "function": f"{type(backend).__module__}:{type(backend).__qualname__}.run",
        "forward": forward,
        "stand_ins": library,
        "contract": {
            "num_heads": 6,
            "num_kv_heads": 3,
            "head_dim": 16,
            "is_causal": True,
            "scale": None,
            "empty_row": "zeros",
        },
    }


_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
_WINDOW = 4
_GLOBAL = 2


def _grouped_query_causal_rotary(backend: str) -> AttentionConfig:
    return AttentionConfig(
        embed_dim=40, num_heads=6, num_kv_heads=2, head_dim=8, is_causal=True, rotary_base=10_000.0, backend=backend
    )


def _multi_head_bidirectional(backend: str) -> AttentionConfig:
    return AttentionConfig(embed_dim=28, num_heads=3, head_dim=10, bias=True, dropout_p=0.1, backend=backend)


_grouped = partial(AttentionConfig, embed_dim=40, num_heads=6, num_kv_heads=2, head_dim=8)


def _linear_spec(*, is_causal: bool) -> dict[str, object]:
    config = _grouped(is_causal=is_causal, feature_map="elu_plus_one")
    return {
        "class": _path(LinearAttention),
        "build": lambda: LinearAttention(config),
        "forward": _forward,
        **({"decode": _decode} if is_causal else {}),
        "contract": {**_contract(config), "feature_map": "elu_plus_one", "rows_sum_to_one": True},
    }


def _performer_spec(*, is_causal: bool) -> dict[str, object]:
    """Random features that are drawn once: given these, what is computed is as exact as any attention."""
    config = _grouped(is_causal=is_causal, feature_map="performer", num_features=16)
    return {
        **_linear_spec(is_causal=is_causal),
        "build": lambda: LinearAttention(config),
        "contract": {
            **_contract(config),
            "feature_map": "positive_random",
            "random_features": "features",
            "rows_sum_to_one": True,
        },
    }


def _cross_spec() -> dict[str, object]:
    """Attention to the sequence itself, so that there is an oracle."""
    config = _grouped()
    return {
        "class": _path(CrossAttention),
        "build": lambda: CrossAttention(config),
        "forward": _cross_forward,
        "contract": _contract(config),
    }


def _axial_spec() -> dict[str, object]:
    config = _grouped()
    projections = {role: f"layers.width.{name}" for role, name in _PROJECTIONS.items()}
    return {
        "class": _path(AxialAttention3d),
        "build": lambda: AxialAttention3d(config, axes=("width",)),
        "forward": _axial_forward,
        "contract": {**_contract(config), "positions": "none", "projections": projections},
    }


def _block_sparse_spec(
    layout: Tensor, window: int | None, *, is_causal: bool = False, block_size: int = 1
) -> dict[str, object]:
    """Blocks that make up a window, or hide nothing, so that there is an oracle. Causal ones have rotary positions."""
    config = _grouped(is_causal=is_causal, rotary_base=100.0 if is_causal else None, block_size=block_size)
    return {
        "class": _path(BlockSparseAttention),
        "build": lambda: BlockSparseAttention(config, layout),
        "forward": _forward,
        **({"decode": _decode} if is_causal else {}),
        "contract": {**_contract(config), "window": window},
    }


def _scan_spec() -> dict[str, object]:
    """The selective scan without decay, which is linear attention whose rows are not divided by their sums."""

    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        query, key = elu_plus_one(query), elu_plus_one(key)
        # One head after another, (B, L, D): the channels are those of the value, the states the features of the key.
        heads = []
        for each_query, each_key, each_value in zip(query.unbind(1), key.unbind(1), value.unbind(1), strict=True):
            decay = each_value.new_zeros(value.shape[3], key.shape[3])
            step = torch.ones_like(each_value)
            if mask is not None:
                step = step.masked_fill(~mask[:, 0, 0, :, None], 0.0)
            if is_causal:
                read, _ = selective_scan(each_value, step, decay, each_key, each_query)
            else:  # every query reads what the last key leaves
                _, state = selective_scan(each_value, step, decay, each_key, each_key)
                still = each_query.new_zeros(*each_query.shape[:2], value.shape[3])
                read, _ = selective_scan(still, still, decay, each_query, each_query, hidden=state)
            heads.append(read)
        return torch.stack(heads, dim=1)

    return {
        "function": _path(selective_scan),
        "forward": forward,
        "contract": {
            "num_heads": 3,
            "num_kv_heads": 3,
            "head_dim": 10,
            "is_causal": True,
            "key_mask": True,
            "equal_lengths": True,
            "feature_map": "elu_plus_one",
            "rows_sum_to_one": False,
            "empty_row": "zeros",
        },
    }


_WIDE = 40  # tokens of a window that holds whole blocks of keys, which are of 16 where Triton interprets
# Our kernels run on a CPU only where Triton is told to interpret them.
_INTERPRETED_BACKENDS = ("triton",) if is_interpreting() and is_installed("triton") else ()
_LONGEST = 32  # tokens of the longest input of an audit in float32, with room to spare
_BAND = big_bird_layout(_LONGEST, num_neighbours=_WINDOW - 1, num_global=0)  # of blocks of one position: a window

ATTENTION: dict[str, dict[str, object]] = {
    **{
        f"grouped_query_causal_rotary_{name}": _layer_spec(
            MultiHeadAttention, _grouped_query_causal_rotary(name), decode=_decode
        )
        for name in PORTABLE_BACKENDS
    },
    **{
        f"multi_head_bidirectional_{name}": _layer_spec(MultiHeadAttention, _multi_head_bidirectional(name))
        for name in PORTABLE_BACKENDS
    },
    **{f"attention_{name}": _function_spec(name) for name in (*PORTABLE_BACKENDS, *_INTERPRETED_BACKENDS)},
    **{
        f"grouped_query_{order}_windowed_alibi_{name}": _layer_spec(
            MultiHeadAttention,
            _grouped(is_causal=order == "causal", alibi=True, window=_WINDOW, backend=name),
            decode=_decode if order == "causal" else None,
        )
        for order in ("causal", "bidirectional")
        for name in _INTERPRETED_BACKENDS
    },
    "attention_flash_attention_2": _library_spec("flash_attention_2", "flash_attn"),
    "attention_flash_attention_3": _library_spec("flash_attention_3", "flash_attn_interface"),
    "attention_flash_attention_4": _library_spec("flash_attention_4", "flash_attn.cute"),
    "flash_causal_alibi": _layer_spec(FlashAttention, _grouped(is_causal=True, alibi=True), decode=_decode),
    "grouped_query_capped_with_sinks": _layer_spec(GroupedQueryAttention, _grouped(soft_cap=2.0, sinks=True)),
    "grouped_query_with_sinks_sdpa": _layer_spec(
        GroupedQueryAttention, _grouped(is_causal=True, sinks=True, backend="sdpa"), decode=_decode_in_place
    ),
    "grouped_query_windowed": _layer_spec(
        GroupedQueryAttention, _grouped(is_causal=True, window=_WINDOW), decode=_decode
    ),
    "sliding_window_causal_rotary": _layer_spec(
        SlidingWindowAttention, _grouped(is_causal=True, rotary_base=100.0, window=_WINDOW), decode=_decode
    ),
    "sliding_window_bidirectional_alibi": _layer_spec(SlidingWindowAttention, _grouped(alibi=True, window=_WINDOW)),
    "sliding_window_with_global_tokens": _layer_spec(
        SlidingWindowAttention, _grouped(window=_WINDOW, num_global_tokens=_GLOBAL)
    ),
    "sliding_window_causal_with_global_tokens": _layer_spec(
        SlidingWindowAttention, _grouped(is_causal=True, window=_WINDOW, num_global_tokens=_GLOBAL), decode=_decode
    ),
    "cross_attention": _cross_spec(),
    "cross_attention_masked_by_pairs": {**_cross_spec(), "forward": _cross_pairs_forward},
    "multi_head_masked_by_pairs": {**_layer_spec(MultiHeadAttention, _grouped()), "forward": _pairs_forward},
    "axial_3d": _axial_spec(),
    "block_sparse_causal_rotary": _block_sparse_spec(_BAND, _WINDOW, is_causal=True),
    "block_sparse_band": _block_sparse_spec(_BAND, _WINDOW),
    "block_sparse_whole": _block_sparse_spec(torch.ones(_LONGEST, _LONGEST, dtype=torch.bool), None, block_size=4),
    "linear_causal": _linear_spec(is_causal=True),
    "linear_bidirectional": _linear_spec(is_causal=False),
    "linear_in_chunks": _chunks_spec(),
    "performer_causal": _performer_spec(is_causal=True),
    "performer_bidirectional": _performer_spec(is_causal=False),
    "masked_by_a_bias": _bias_spec("sdpa"),
    **{f"masked_by_a_bias_{name}": _bias_spec(name) for name in _INTERPRETED_BACKENDS},
    **{f"windowed_{name}": _windowed_spec(name, window=_WIDE) for name in _INTERPRETED_BACKENDS},
    "masked_by_a_window_with_global_tokens": _windowed_spec("sdpa", window=_WINDOW, num_global_tokens=_GLOBAL),
    "selective_scan": _scan_spec(),
    "ring_attention": _ring_spec(_grouped(is_causal=True, rotary_base=100.0)),
}
