"""Launches the backward kernels."""

from torch import Tensor

from astrobio.attention.triton_kernels.backward import delta_kernel, key_value_kernel, query_kernel
from astrobio.attention.triton_kernels.interpreter import is_interpreting
from astrobio.attention.triton_kernels.launch import (
    COMPILED_WITH,
    named_strides,
    padded_head_dim,
    result_like,
    shared_arguments,
)
from astrobio.attention.triton_kernels.problem import Problem

try:
    import triton
except ImportError:
    from astrobio.attention.triton_kernels.missing import placeholders

    triton, _ = placeholders()


def backward(
    query: Tensor, key: Tensor, value: Tensor, output: Tensor, log_sums: Tensor, gradient: Tensor, problem: Problem
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value, given that of the output and what `forward` returned.

    Args:
        query: as `forward` took it; `key` and `value` likewise.
        key: (B, Hkv, Lk, D), or (total_k, Hkv, D) of packed sequences.
        value: as the key.
        output: of `forward`.
        log_sums: of `forward`.
        gradient: of the output, shaped like it, the features of a position side by side.
        problem: as `forward` took it.
    """
    kept = (query, key, value, gradient, log_sums, _delta(output, gradient, problem), problem)
    return query_gradient(*kept), *key_value_gradients(*kept)


def key_value_gradients(
    query: Tensor, key: Tensor, value: Tensor, gradient: Tensor, log_sums: Tensor, delta: Tensor, problem: Problem
) -> tuple[Tensor, Tensor]:
    """The gradients of key and value; `delta` as `Problem.row_numbers` shapes it, the rest as `backward` takes it."""
    _, key_length = problem.lengths(query, key)
    key_gradient, value_gradient = result_like(key, problem), result_like(value, problem)
    num_heads = problem.num_sequences(query) * key.shape[1]
    if num_heads and key_length:
        key_value_kernel[lambda chosen: (num_heads * triton.cdiv(key_length, chosen["block_k"]),)](
            **_arguments(query, key, value, gradient, log_sums, delta, problem),
            **named_strides("dk", problem.strides(key_gradient)),
            **named_strides("dv", problem.strides(value_gradient)),
            key_gradient=key_gradient,
            value_gradient=value_gradient,
        )
    return key_gradient, value_gradient


def query_gradient(
    query: Tensor, key: Tensor, value: Tensor, gradient: Tensor, log_sums: Tensor, delta: Tensor, problem: Problem
) -> Tensor:
    """The gradient of the query, of what `key_value_gradients` takes."""
    query_length, _ = problem.lengths(query, key)
    found = result_like(query, problem)
    num_heads = problem.num_sequences(query) * query.shape[1]
    if num_heads and query_length:
        query_kernel[lambda chosen: (num_heads * triton.cdiv(query_length, chosen["block_q"]),)](
            **_arguments(query, key, value, gradient, log_sums, delta, problem),
            **named_strides("dq", problem.strides(found)),
            query_gradient=found,
        )
    return found


def _arguments(
    query: Tensor, key: Tensor, value: Tensor, gradient: Tensor, log_sums: Tensor, delta: Tensor, problem: Problem
) -> dict[str, object]:
    sums_batch, sums_head = problem.row_strides(log_sums)
    return {
        **shared_arguments(query, key, value, problem),
        **named_strides("g", problem.strides(gradient)),
        "gradient": gradient,
        "log_sums": log_sums,
        "delta": delta,
        "sums_batch": sums_batch,
        "sums_head": sums_head,
    }


def _delta(output: Tensor, gradient: Tensor, problem: Problem) -> Tensor:
    delta = problem.row_numbers(output)
    query_length, _ = problem.lengths(output, output)
    block_q = 16 if is_interpreting() else 64
    programs = problem.num_sequences(output) * output.shape[1] * triton.cdiv(query_length, block_q)
    sums_batch, sums_head = problem.row_strides(delta)
    if programs:
        delta_kernel[(programs,)](
            output,
            gradient,
            delta,
            problem.starts_q,
            output.shape[1],
            query_length,
            **named_strides("o", problem.strides(output)),
            **named_strides("g", problem.strides(gradient)),
            sums_batch=sums_batch,
            sums_head=sums_head,
            head_dim=output.shape[-1],
            block_d=padded_head_dim(output.shape[-1]),
            block_q=block_q,
            **COMPILED_WITH,
        )
    return delta
