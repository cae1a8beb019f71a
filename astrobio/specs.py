"""How an auditor builds each model of this package, and what its attention promises.

Plain Python and torch. `MODELS` has one entry for every registered model; `ATTENTION` one for every mechanism and
backend that runs on every device. Sizes are small, and differ from one another so that swapped dimensions do not go
unnoticed.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from astrobio.attention import AttentionConfig, KVCache, MultiHeadAttention, attention
from astrobio.attention.backends import PORTABLE_BACKENDS
from astrobio.registry import list_models, registered_model


def _model_spec(name: str) -> dict[str, object]:
    entry = registered_model(name)
    return {"class": entry.class_path, "build": entry.build, "inputs": entry.sample_inputs, "loss": entry.loss}


def _forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    output: Tensor = module(hidden_states, key_mask=key_mask)
    return output


def _decode(module: nn.Module, chunks: list[Tensor]) -> Tensor:
    """The outputs of consecutive chunks, each (B, l_i, embed_dim), that share a cache."""
    cache = KVCache()
    return torch.cat([module(chunk, cache=cache) for chunk in chunks], dim=1)


def _module_spec(config: AttentionConfig) -> dict[str, object]:
    spec: dict[str, object] = {
        "class": f"{MultiHeadAttention.__module__}:{MultiHeadAttention.__qualname__}",
        "build": lambda: MultiHeadAttention(config),
        "forward": _forward,
        "contract": {
            "embed_dim": config.embed_dim,
            "num_heads": config.num_heads,
            "num_kv_heads": config.kv_heads,
            "head_dim": config.dim_per_head,
            "is_causal": config.is_causal,
            "scale": None,
            "key_mask": True,
            "rotary_base": config.rotary_base,
            "rotary_layout": "half",
            "projections": {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"},
            "empty_row": "zeros",
        },
    }
    if config.is_causal:  # otherwise earlier outputs depend on later chunks, and decoding is not defined
        spec["decode"] = _decode
    return spec


def _function_forward(backend: str) -> Callable[[Tensor, Tensor, Tensor, bool, Tensor | None], Tensor]:
    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        return attention(query, key, value, is_causal=is_causal, attention_mask=mask, backend=backend)

    return forward


def _function_spec(backend: str) -> dict[str, object]:
    return {
        "function": f"{attention.__module__}:{attention.__qualname__}",
        "forward": _function_forward(backend),
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


def _grouped_query_causal_rotary(backend: str) -> AttentionConfig:
    return AttentionConfig(
        embed_dim=40, num_heads=6, num_kv_heads=2, head_dim=8, is_causal=True, rotary_base=10_000.0, backend=backend
    )


def _multi_head_bidirectional(backend: str) -> AttentionConfig:
    return AttentionConfig(embed_dim=28, num_heads=3, head_dim=10, bias=True, backend=backend)


MODELS: dict[str, dict[str, object]] = {name: _model_spec(name) for name in list_models()}

ATTENTION: dict[str, dict[str, object]] = {
    **{
        f"grouped_query_causal_rotary_{name}": _module_spec(_grouped_query_causal_rotary(name))
        for name in PORTABLE_BACKENDS
    },
    **{f"multi_head_bidirectional_{name}": _module_spec(_multi_head_bidirectional(name)) for name in PORTABLE_BACKENDS},
    **{f"attention_{name}": _function_spec(name) for name in PORTABLE_BACKENDS},
}
