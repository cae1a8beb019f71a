"""How an auditor builds each model of this package, and what its attention promises.

Plain Python and torch. `MODELS` has one entry for every registered model; `ATTENTION` one for every mechanism and
backend that runs on every device. Sizes are small, and differ from one another so that swapped dimensions do not go
unnoticed.
"""

from collections.abc import Callable
from dataclasses import replace
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
    KVCache,
    LinearAttention,
    LinearState,
    MultiHeadAttention,
    RingAttention,
    SelectiveStateSpace,
    SlidingKVCache,
    SlidingWindowAttention,
    StateSpaceConfig,
    StateSpaceState,
    attention,
    big_bird_layout,
    block_sparse_attention,
    linear_attention,
    local_attention,
    ring_attention,
)
from astrobio.attention.backends import PORTABLE_BACKENDS
from astrobio.registry import list_models, registered_model


def _model_spec(name: str) -> dict[str, object]:
    entry = registered_model(name)
    return {"class": entry.class_path, "build": entry.build, "inputs": entry.sample_inputs, "loss": entry.loss}


def _path(item: Callable[..., object]) -> str:
    return f"{item.__module__}:{item.__qualname__}"


def _forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    output: Tensor = module(hidden_states, key_mask=key_mask)
    return output


def _decode(module: nn.Module, chunks: list[Tensor]) -> Tensor:
    """The outputs of consecutive chunks, each (B, l_i, embed_dim), that share a cache."""
    cache = KVCache()
    return torch.cat([module(chunk, cache=cache) for chunk in chunks], dim=1)


def _decode_window(module: nn.Module, chunks: list[Tensor]) -> Tensor:
    """The same through a cache that lets go of what the window has passed."""
    cache = SlidingKVCache(window=_WINDOW)
    return torch.cat([module(chunk, cache=cache) for chunk in chunks], dim=1)


def _decode_state(state: Callable[[], object], module: nn.Module, chunks: list[Tensor]) -> Tensor:
    """The same with a state of fixed size in place of a cache."""
    held = state()
    return torch.cat([module(chunk, state=held) for chunk in chunks], dim=1)


def _cross_forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None, *, context: Tensor) -> Tensor:
    output: Tensor = module(hidden_states, context, key_mask=key_mask)
    return output


def _axial_forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    """One line of a cube, along its width."""
    cube = hidden_states.transpose(1, 2)[:, :, None, None, :]
    output: Tensor = module(cube, cell_mask=None if key_mask is None else key_mask[:, None, None, :])
    return output[:, :, 0, 0, :].transpose(1, 2)


def _contract(config: AttentionConfig) -> dict[str, object]:
    """What the layers promise that are projections around softmax attention."""
    return {
        **_sizes(config),
        "scale": None,
        "rotary_base": config.rotary_base,
        "rotary_layout": "half",
        "window": config.window,
        "soft_cap": config.soft_cap,
        "alibi_slopes": "published" if config.alibi else None,
        "sinks": "sinks" if config.sinks else None,
        "projections": {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"},
    }


def _sizes(config: AttentionConfig) -> dict[str, object]:
    return {
        "embed_dim": config.embed_dim,
        "num_heads": config.num_heads,
        "num_kv_heads": config.kv_heads,
        "head_dim": config.dim_per_head,
        "is_causal": config.is_causal,
        "key_mask": True,
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


def _function_spec(function: Callable[..., Tensor], *, with_mask: bool = True, **options: object) -> dict[str, object]:
    """A function of query, key and value; `with_mask` says whether it takes masks of pairs, and not only of keys."""

    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        if mask is None or with_mask:
            masks = {} if mask is None else {"attention_mask": mask}
        else:  # the audit's masks of functions are masks of keys, (B, 1, 1, Lk)
            masks = {"key_mask": mask[:, 0, 0, :]}
        return function(query, key, value, is_causal=is_causal, **masks, **options)

    return {
        "function": _path(function),
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


def _promising(spec: dict[str, object], **promises: object) -> dict[str, object]:
    """The spec with a contract that says more."""
    contract = spec["contract"]
    assert isinstance(contract, dict)
    return {**spec, "contract": {**contract, **promises}}


_WINDOW = 4


def _grouped_query_causal_rotary(backend: str) -> AttentionConfig:
    return AttentionConfig(
        embed_dim=40, num_heads=6, num_kv_heads=2, head_dim=8, is_causal=True, rotary_base=10_000.0, backend=backend
    )


def _multi_head_bidirectional(backend: str) -> AttentionConfig:
    return AttentionConfig(embed_dim=28, num_heads=3, head_dim=10, bias=True, backend=backend)


def _grouped(**settings: object) -> AttentionConfig:
    return replace(AttentionConfig(embed_dim=40, num_heads=6, num_kv_heads=2, head_dim=8), **settings)


def _linear_spec(kind: str, **promises: object) -> dict[str, object]:
    config = _grouped(is_causal=True, feature_map=kind)
    return {
        "class": _path(LinearAttention),
        "build": lambda: LinearAttention(config),
        "forward": _forward,
        "decode": partial(_decode_state, LinearState),
        "contract": {**_sizes(config), **promises},
    }


def _cross_spec() -> dict[str, object]:
    config = _grouped(context_dim=21)
    return {
        "class": _path(CrossAttention),
        "build": lambda: CrossAttention(config),
        "forward": _cross_forward,
        "contract": {**_contract(config), "context_dim": 21},
    }


def _axial_spec() -> dict[str, object]:
    config = _grouped()
    contract = {**_sizes(config), "positions": "none", "empty_row": None}  # what the axis adds to is no weight of its own
    return {
        "class": _path(AxialAttention3d),
        "build": lambda: AxialAttention3d(config, axes=("width",)),
        "forward": _axial_forward,
        "contract": contract,
    }


def _block_sparse_spec() -> dict[str, object]:
    config = _grouped(is_causal=True, rotary_base=100.0, block_size=3)
    return {
        "class": _path(BlockSparseAttention),
        "build": lambda: BlockSparseAttention(config, big_bird_layout(_MOST_BLOCKS, num_neighbours=1)),
        "forward": _forward,
        "decode": _decode,
        "contract": _sizes(config),
    }


def _state_space_spec() -> dict[str, object]:
    config = StateSpaceConfig(embed_dim=20, state_dim=5)
    return {
        "class": _path(SelectiveStateSpace),
        "build": lambda: SelectiveStateSpace(config),
        "forward": _forward,
        "decode": partial(_decode_state, StateSpaceState),
        # It has channels in place of heads.
        "contract": {
            "embed_dim": 20,
            "num_heads": 1,
            "num_kv_heads": 1,
            "head_dim": config.num_channels,
            "is_causal": True,
            "key_mask": True,
        },
    }


_MOST_BLOCKS = 400  # of three positions: what the longest input of an audit needs
_EVERY_BLOCK = torch.ones(_MOST_BLOCKS, _MOST_BLOCKS, dtype=torch.bool)

MODELS: dict[str, dict[str, object]] = {name: _model_spec(name) for name in list_models()}

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
    **{f"attention_{name}": _function_spec(attention, backend=name) for name in PORTABLE_BACKENDS},
    "flash_causal_alibi": _layer_spec(FlashAttention, _grouped(is_causal=True, alibi=True), decode=_decode),
    "grouped_query_capped_with_sinks": _layer_spec(GroupedQueryAttention, _grouped(soft_cap=2.0, sinks=True)),
    "sliding_window_causal_rotary": _layer_spec(
        SlidingWindowAttention, _grouped(is_causal=True, rotary_base=100.0, window=_WINDOW), decode=_decode_window
    ),
    "sliding_window_bidirectional_alibi": _layer_spec(SlidingWindowAttention, _grouped(alibi=True, window=_WINDOW)),
    "local_attention": _promising(_function_spec(local_attention, with_mask=False, window=_WINDOW), window=_WINDOW),
    "cross_attention": _cross_spec(),
    "axial_3d": _axial_spec(),
    "block_sparse_causal_rotary": _block_sparse_spec(),
    "block_sparse_all_blocks": _function_spec(
        block_sparse_attention, with_mask=False, layout=_EVERY_BLOCK, block_size=3
    ),
    "linear_causal": _linear_spec(
        "elu_plus_one",
        feature_map="elu_plus_one",
        rows_sum_to_one=True,
        projections={"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"},
    ),
    "performer_causal": _linear_spec("performer", rows_sum_to_one=True),
    "linear_attention": _promising(
        _function_spec(linear_attention, with_mask=False), feature_map="elu_plus_one", rows_sum_to_one=True
    ),
    "selective_state_space": _state_space_spec(),
    "ring_attention_on_one_process": _promising(_function_spec(ring_attention, with_mask=False), equal_lengths=True),
    "ring_layer_on_one_process": _layer_spec(RingAttention, _grouped(is_causal=True, rotary_base=100.0)),
}
