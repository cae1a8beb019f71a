"""What all kernels are handed alike."""

import torch
from torch import Tensor

from astrobio.attention.triton_kernels.configs import length_class
from astrobio.attention.triton_kernels.problem import Problem, Strides

# A product and a sum in one instruction, rounded once. Triton 3.9 warns where this is not said, since 3.10 changes it.
COMPILED_WITH = {"enable_fp_fusion": True}
_SMALLEST_BLOCK = 16  # of what tensor cores multiply


def shared_arguments(query: Tensor, key: Tensor, value: Tensor, problem: Problem) -> dict[str, object]:
    """The arguments by their names in the kernels: inputs, masks, settings, sizes and strides."""
    query_length, key_length = problem.lengths(query, key)
    head_dim = query.shape[-1]
    return {
        "query": query,
        "key": key,
        "value": value,
        "starts_q": problem.starts_q,
        "starts_k": problem.starts_k,
        "key_mask": _as_bytes(problem.key_mask),
        "allowed": _as_bytes(problem.allowed),
        "bias": problem.bias,
        "slopes": problem.slopes,
        "scale": problem.scale,
        "soft_cap": problem.soft_cap,
        "window": problem.window,
        "num_heads": query.shape[1],
        "group_size": query.shape[1] // key.shape[1],
        "q_len": query_length,
        "k_len": key_length,
        **named_strides("q", problem.strides(query)),
        **named_strides("k", problem.strides(key)),
        **named_strides("v", problem.strides(value)),
        "mask_batch": 0 if problem.key_mask is None else problem.key_mask.stride(0),
        **_score_strides("allowed", problem.allowed),
        **_score_strides("bias", problem.bias),
        "length_class": length_class(query_length, key_length),
        "head_dim": head_dim,
        "block_d": padded_head_dim(head_dim),
        "is_causal": problem.is_causal,
        "is_half": problem.is_half,
        **COMPILED_WITH,
    }


def padded_head_dim(head_dim: int) -> int:
    """The next power of two, at least 16: what blocks are made of. The features that are not there count as zeros."""
    return max(1 << (head_dim - 1).bit_length(), _SMALLEST_BLOCK)


def named_strides(prefix: str, strides: Strides) -> dict[str, int]:
    """The strides of batch, head and position by their names in the kernels."""
    return {f"{prefix}_{name}": stride for name, stride in zip(("batch", "head", "row"), strides, strict=True)}


def result_like(tensor: Tensor, problem: Problem) -> Tensor:
    """Room for a result, in the layout of `tensor`; zeros where sequences are packed, since some rows are in none."""
    return torch.zeros_like(tensor) if problem.is_packed else torch.empty_like(tensor)


def _as_bytes(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.view(torch.uint8)


def _score_strides(prefix: str, tensor: Tensor | None) -> dict[str, int]:
    strides = (0, 0, 0, 0) if tensor is None else tensor.stride()
    names = ("batch", "head", "row", "column")
    return {f"{prefix}_{name}": stride for name, stride in zip(names, strides, strict=True)}
