"""Attention with linear biases (ALiBi, Press et al. 2022, "Train Short, Test Long", arXiv:2108.12409).

A head with slope m subtracts m * |distance| from its scores, which stands in for a position embedding. The queries are
the last of the positions, as everywhere in this package: query i stands at i + Lk - Lq.
"""

import torch
from torch import Tensor


def published_alibi_slopes(num_heads: int) -> tuple[float, ...]:
    """The slopes of Press et al. 2022, section 3, for any number of heads.

    For n heads, a power of two, they are 2^(-8 i / n) for i = 1 to n. For other numbers, as in the authors' code: the
    series of the largest power of two n below, then every second slope of the series for 2 n.

    Raises:
        ValueError: `num_heads` is below 1.
    """
    if num_heads < 1:
        raise ValueError(f"num_heads must be at least 1, got {num_heads}")
    power = 2 ** (num_heads.bit_length() - 1)
    series = [2.0 ** (-8 * i / power) for i in range(1, power + 1)]
    between = [2.0 ** (-4 * i / power) for i in range(1, 2 * power, 2)]
    return tuple(series + between[: num_heads - power])


def linear_bias(slopes: Tensor, query_length: int, key_length: int) -> Tensor:
    """What is added to the scores, -slope * |i + Lk - Lq - j|.

    Args:
        slopes: (H,), floating point.
        query_length: Lq.
        key_length: Lk.

    Returns:
        (H, Lq, Lk), in the dtype and on the device of `slopes`.
    """
    query_position = torch.arange(query_length, device=slopes.device) + key_length - query_length
    return linear_bias_at(slopes, query_position, torch.arange(key_length, device=slopes.device))


def linear_bias_at(slopes: Tensor, query_position: Tensor, key_position: Tensor) -> Tensor:
    """What is added to the scores between given positions.

    Args:
        slopes: (H,), floating point.
        query_position: (..., Lq), integer.
        key_position: (..., Lk), integer.

    Returns:
        (..., H, Lq, Lk), in the dtype of `slopes`.
    """
    distance = (query_position[..., :, None] - key_position[..., None, :]).abs()
    return -slopes[:, None, None] * distance.unsqueeze(-3)
