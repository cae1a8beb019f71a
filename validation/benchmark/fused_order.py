"""Attention and its gradients in float32 as fused kernels of a GPU compute them.

Algorithms 1 and 2 of Dao 2023 ("FlashAttention-2", arXiv:2307.08691): keys pass by in blocks, sums are rescaled as they
go along, and the backward pass takes the softmax's part off by the product of the output and its gradient. Kernels take
the device's fast exponential, which libraries for CPUs do not: its error is what CUDA states of it.
"""

import torch
from torch import Tensor

_BLOCK = 64  # keys
# `__expf(x)` errs by at most 2 + floor(|1.16 x|) units in the last place: CUDA C++ Programming Guide 13.0, intrinsic
# functions in its chapter "Mathematical Functions". A unit is taken as half of eps, its least share of a number.
_LEAST_UNITS, _UNITS_OF_X = 2.0, 1.16


def fused(
    query: Tensor,  # (P, G, R, D), float32
    key: Tensor,  # (P, 1, Lk, D)
    value: Tensor,  # (P, 1, Lk, D)
    allowed: Tensor,  # bool, (R, Lk)
    weights: Tensor | None,  # (P, G, R, D), the gradient of the output
) -> list[Tensor]:
    """Return the output, (P, G, R, D), and with `weights` the gradients of query, key and value."""
    scale = query.shape[-1] ** -0.5
    generator = torch.Generator().manual_seed(0)
    blocks = [slice(first, first + _BLOCK) for first in range(0, key.shape[2], _BLOCK)]

    def scores(block: slice) -> Tensor:
        logits: Tensor = query @ key[:, :, block].mT * scale
        return logits.masked_fill(~allowed[:, block], float("-inf"))

    def exponential(exponent: Tensor) -> Tensor:
        units = _LEAST_UNITS + (_UNITS_OF_X * exponent).abs().nan_to_num(posinf=0.0).floor()
        signs = torch.randint(0, 2, exponent.shape, generator=generator) * 2 - 1
        return exponent.exp().mul(1 + signs * units * torch.finfo(exponent.dtype).eps / 2)

    largest = query.new_full((*query.shape[:3], 1), float("-inf"))
    total, output = torch.zeros_like(largest), torch.zeros_like(query)
    for block in blocks:
        score = scores(block)
        seen = torch.maximum(largest, score.amax(-1, keepdim=True))
        shift = seen.masked_fill(seen == float("-inf"), 0.0)  # of a query that has seen no key so far
        shrunk, weight = exponential(largest - shift), exponential(score - shift)
        total, output = total * shrunk + weight.sum(-1, keepdim=True), output * shrunk + weight @ value[:, :, block]
        largest = seen
    output = output / total
    if weights is None:
        return [output]
    log_sum, delta = largest + total.log(), (weights * output).sum(-1, keepdim=True)
    by_query, by_key, by_value = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
    for block in blocks:
        weight = exponential(scores(block) - log_sum)
        by_score = weight * (weights @ value[:, :, block].mT - delta)
        by_query += by_score @ key[:, :, block]
        by_key[:, :, block] = (by_score.mT @ query).sum(1, keepdim=True) * scale
        by_value[:, :, block] = (weight.mT @ weights).sum(1, keepdim=True)
    return [output, by_query * scale, by_key, by_value]
