"""A stand-in for `xformers.ops.memory_efficient_attention` and the biases that it takes.

Tensors are (B, M, H, K), or (B, M, K) with one head, or (B, M, G, H, K) where the keys and values of a group are
expanded to its heads. float32 is taken, as by the library. The library also refuses a bias that does not lie in memory
as its kernel needs it; that is not looked at here.
https://facebookresearch.github.io/xformers/components/ops.html
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .exact import attend
from .recorded import Record
from .xformers_biases import BIASES, AttentionBias, BlockDiagonalMask

VERSION = "0.0.35"
_TAKEN = (torch.float32, torch.float16, torch.bfloat16)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_bias: Tensor | AttentionBias | None,
    p: float,
    scale: float | None,
) -> Tensor:
    shape = query.shape
    if query.dim() not in (3, 4, 5) or {key.dim(), value.dim()} != {query.dim()}:
        raise ValueError(
            f"Invalid shape for query: {tuple(shape)}. Supported dimensions: [batch, seqlen, 'num_heads', 'head_dim']"
        )
    if len({query.dtype, key.dtype, value.dtype}) > 1:
        raise ValueError("Query/Key/Value should all have the same dtype")
    if query.dtype not in (*_TAKEN, torch.float64):
        raise NotImplementedError(f"No operator found for `memory_efficient_attention_forward` of {query.dtype}")
    heads_fit = key.shape[2:-1] == query.shape[2:-1] == value.shape[2:-1]
    lengths_fit = key.shape[:2] == value.shape[:2] and key.shape[0] == query.shape[0]
    if not (heads_fit and lengths_fit and key.shape[-1] == query.shape[-1]):
        raise ValueError(
            f"Incompatible shapes for attention inputs: query {tuple(shape)}, key {tuple(key.shape)}, value "
            f"{tuple(value.shape)}; use .expand for heads that share their keys"
        )
    if isinstance(attn_bias, BlockDiagonalMask) and query.shape[0] != 1:
        raise ValueError("Expected batch_size=1 when using block-diagonal bias")
    bias, allowed = _written_out(attn_bias, query, key)
    q, k, v = (_with_heads(each) for each in (query, key, value))
    out = attend(q, k, v, scale=scale, allowed=allowed, bias=bias, dropout=p).out
    return out.reshape(*shape[:-1], value.shape[-1])


def _with_heads(tensor: Tensor) -> Tensor:
    """Return (B, M, H, K)."""
    if tensor.dim() == 3:
        return tensor[:, :, None]
    return tensor.flatten(2, 3) if tensor.dim() == 5 else tensor


def _written_out(
    attn_bias: Tensor | AttentionBias | None, query: Tensor, key: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Return what is added to the scores (B, H, Mq, Mk), and which of them are allowed."""
    if attn_bias is None:
        return None, None
    if isinstance(attn_bias, AttentionBias):
        added = attn_bias.added()
        return added, attn_bias.seen(query.shape[1], key.shape[1])
    if not isinstance(attn_bias, Tensor):
        raise ValueError(f"attn_bias must be a tensor or an AttentionBias, not {type(attn_bias).__name__}")
    expected = (query.shape[0], *query.shape[2:-1], query.shape[1], key.shape[1])
    if tuple(attn_bias.shape) != expected:
        raise ValueError(f"Invalid shape for attention bias: {tuple(attn_bias.shape)} (expected {expected})")
    if attn_bias.dtype != query.dtype:
        raise ValueError(f"Invalid dtype for attention bias: {attn_bias.dtype}, where the query has {query.dtype}")
    if query.dim() == 3:
        return attn_bias[:, None], None
    return (attn_bias.flatten(1, 2) if query.dim() == 5 else attn_bias), None


def functions(record: Record) -> Mapping[str, Callable[..., object]]:
    """Return the functions of `xformers.ops` by their names, each counted in `record`."""

    def memory_efficient_attention(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_bias: Tensor | AttentionBias | None = None,
        p: float = 0.0,
        scale: float | None = None,
        *,
        op: object = None,
        output_dtype: torch.dtype | None = None,
    ) -> Tensor:
        out = _attention(query, key, value, attn_bias, p, scale)
        return out if output_dtype is None else out.to(output_dtype)

    def memory_efficient_attention_forward(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_bias: Tensor | AttentionBias | None = None,
        p: float = 0.0,
        scale: float | None = None,
        *,
        op: object = None,
        output_dtype: torch.dtype | None = None,
    ) -> Tensor:
        with torch.no_grad():
            return memory_efficient_attention(query, key, value, attn_bias, p, scale, output_dtype=output_dtype)

    made = (memory_efficient_attention, memory_efficient_attention_forward)
    return {each.__name__: record.counted(f"xformers.ops.{each.__name__}", each) for each in made}


class AttentionOp:
    """An operator that could be asked for; which one it is makes no difference to what is computed."""


def modules(record: Record) -> dict[str, Mapping[str, object]]:
    """Return the names of the library's modules, and what each holds."""
    biases = {each.__name__: each for each in BIASES}
    made = functions(record)
    names = (
        "MemoryEfficientAttentionFlashAttentionOp",
        "MemoryEfficientAttentionCutlassOp",
        "MemoryEfficientAttentionOp",
    )
    operators = dict.fromkeys(names, AttentionOp)
    return {
        "xformers": {"__version__": VERSION},
        "xformers.ops": {**made, **operators, "AttentionBias": biases["AttentionBias"],
                         "AttentionOpBase": AttentionOp,
                         "LowerTriangularMask": biases["LowerTriangularMask"], "unbind": torch.unbind},
        "xformers.ops.fmha": {**made, **biases, **operators},
        "xformers.ops.fmha.attn_bias": biases,
    }  # fmt: skip
