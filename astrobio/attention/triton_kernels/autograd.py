"""The kernels as differentiable functions, of padded batches and of packed sequences."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from astrobio.attention.backends.call import AttentionCall
from astrobio.attention.triton_kernels.forward import forward
from astrobio.attention.triton_kernels.gradients import backward
from astrobio.attention.triton_kernels.interpreter import is_interpreting
from astrobio.attention.triton_kernels.problem import Problem, with_features_side_by_side


def attend(call: AttentionCall) -> Tensor:
    """What `call` asks for, (B, H, Lq, D), in the dtype of the query.

    The caller has made sure that the kernels support it, see `astrobio.attention.backends.triton`.
    """
    shape = (*call.query.shape[:3], call.key.shape[2])
    problem = Problem(
        scale=call.scale,
        is_half=call.query.dtype != torch.float32,
        is_causal=call.is_causal,
        window=call.window if call.is_window_restrictive else None,
        soft_cap=call.soft_cap,
        slopes=None if call.alibi_slopes is None else call.alibi_slopes.detach().float().contiguous(),
        key_mask=None if call.key_mask is None else with_features_side_by_side(call.key_mask),
        allowed=None if call.allowed is None else call.allowed.expand(shape),
        bias=None if call.bias is None else call.bias.detach().expand(shape),
    )
    output: Tensor = _TritonAttention.apply(call.query, call.key, call.value, problem)  # type: ignore[no-untyped-call]
    return output


def packed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts_q: Tensor,
    starts_k: Tensor,
    *,
    longest_q: int,
    longest_k: int,
    is_causal: bool = False,
    window: int | None = None,
    soft_cap: float | None = None,
    alibi_slopes: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Attention within each of several sequences that lie behind one another, of any lengths.

    Sequence n has the queries starts_q[n] to starts_q[n + 1] and the keys starts_k[n] to starts_k[n + 1]. Causal rule,
    window and linear biases count within a sequence, from its last query at its last key, as in
    `astrobio.attention.attention`, where the settings are explained.

    Args:
        query: (total_q, H, D), float16, bfloat16 or float32.
        key: (total_k, Hkv, D), H a multiple of Hkv.
        value: (total_k, Hkv, D).
        starts_q: (B + 1,), int32, not falling, from 0 to at most total_q. The numbers are not read here, since that
            would wait for the GPU; what they leave out gives zeros.
        starts_k: (B + 1,), likewise.
        longest_q: the length of the longest sequence of queries; what is behind it in a longer one is not computed.
        longest_k: the length of the longest sequence of keys; a hint to the choice of block sizes.
        is_causal: query i of a sequence sees keys j <= i + Lk - Lq only.
        window: query i sees keys with |i + Lk - Lq - j| < window only.
        soft_cap: scores s become soft_cap * tanh(s / soft_cap).
        alibi_slopes: (H,); slope * |i + Lk - Lq - j| is subtracted from the scores. They get no gradient.
        scale: factor on the dot products; None means 1 / sqrt(D).

    Returns:
        (total_q, H, D) in the dtype of `query`. A query with no key gives zeros.

    Raises:
        TypeError: wrong dtypes.
        ValueError: wrong shapes.
    """
    _check_packed(query, key, value, starts_q, starts_k)
    if alibi_slopes is not None and alibi_slopes.shape != query.shape[1:2]:
        raise ValueError(f"alibi_slopes must be one number a head, {query.shape[1]}, got {tuple(alibi_slopes.shape)}")
    problem = Problem(
        scale=1 / math.sqrt(query.shape[-1]) if scale is None else scale,
        is_half=query.dtype != torch.float32,
        is_causal=is_causal,
        window=window,
        soft_cap=soft_cap,
        slopes=None if alibi_slopes is None else alibi_slopes.detach().float().contiguous(),
        starts_q=starts_q.contiguous(),
        starts_k=starts_k.contiguous(),
        longest_q=longest_q,
        longest_k=longest_k,
    )
    output: Tensor = _TritonAttention.apply(query, key, value, problem)  # type: ignore[no-untyped-call]
    return output


def _check_packed(query: Tensor, key: Tensor, value: Tensor, starts_q: Tensor, starts_k: Tensor) -> None:
    if query.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise TypeError(f"query must be float16, bfloat16 or float32, got {query.dtype}")
    if not (query.dtype == key.dtype == value.dtype):
        raise TypeError(f"query, key and value must share one dtype, got {query.dtype}, {key.dtype}, {value.dtype}")
    if query.dim() != 3 or key.dim() != 3 or key.shape != value.shape or query.shape[2] != key.shape[2]:
        raise ValueError(
            "query must be (total_q, H, D), key and value (total_k, Hkv, D), got "
            f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
        )
    if key.shape[1] == 0 or query.shape[1] % key.shape[1]:
        raise ValueError(f"{query.shape[1]} query heads cannot share {key.shape[1]} key/value heads evenly")
    for name, starts in (("starts_q", starts_q), ("starts_k", starts_k)):
        if starts.dtype != torch.int32:
            raise TypeError(f"{name} must be int32, got {starts.dtype}")
    if starts_q.dim() != 1 or starts_q.shape != starts_k.shape or len(starts_q) == 0:
        raise ValueError(
            f"starts_q and starts_k must be (B + 1,), got {tuple(starts_q.shape)} and {tuple(starts_k.shape)}"
        )


class _TritonAttention(torch.autograd.Function):
    """Forward keeps the logarithms of the row sums, from which backward computes the weights anew."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, problem: Problem) -> Tensor:
        query, key, value = (with_features_side_by_side(each) for each in (query, key, value))
        with _on_device_of(query):
            output, log_sums = forward(_readable(query), _readable(key), _readable(value), problem)
        output = output.to(query.dtype)
        ctx.save_for_backward(query, key, value, output, log_sums)
        ctx.problem = problem
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, log_sums = ctx.saved_tensors
        gradient = with_features_side_by_side(gradient)
        query, key, value, output = (_readable(each) for each in (query, key, value, output))
        with _on_device_of(query):
            gradients = backward(query, key, value, output, log_sums, _readable(gradient), ctx.problem)
        return (*(each.to(gradient.dtype) for each in gradients), None)


def _readable(tensor: Tensor) -> Tensor:
    """The tensor, in float32 where it is bfloat16 for Triton's interpreter, see `scoring.rounded`."""
    return tensor.float() if is_interpreting() and tensor.dtype == torch.bfloat16 else tensor


def _on_device_of(tensor: Tensor) -> Any:
    """Triton launches on the current device, which need not be that of the tensors."""
    return torch.cuda.device(tensor.device if tensor.is_cuda else -1)
