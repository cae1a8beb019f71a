"""What a kernel computes, compared with the definition in float64 by what plain attention in its dtype is off."""

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from astrobio.attention import attention


def plain(
    tensors: list[Tensor], options: dict[str, Any], *, scaled_first: bool, divided_last: bool, in_base_2: bool = False
) -> Tensor:
    """Attention in the dtype of the tensors, in one order of operations of four, or of six with those in base 2."""
    query, key, value = tensors
    dtype, group = query.dtype, query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    lengths = query.shape[2], key.shape[2]
    scale = options.get("scale", 1 / math.sqrt(query.shape[3]))
    scores = (query * scale) @ key.mT if scaled_first else query @ key.mT * scale
    ahead = torch.arange(lengths[0])[:, None] + lengths[1] - lengths[0] - torch.arange(lengths[1])
    if "soft_cap" in options:
        scores = options["soft_cap"] * torch.tanh(scores / options["soft_cap"])
    if "alibi_slopes" in options:
        scores = scores - options["alibi_slopes"].to(dtype)[:, None, None] * ahead.abs()
    scores = scores + options.get("attention_bias", torch.zeros(())).to(dtype)
    is_open = torch.ones(lengths, dtype=torch.bool)
    if options.get("is_causal"):
        is_open = is_open & (ahead >= 0)
    if "window" in options:
        is_open = is_open & (ahead.abs() < options["window"])
    if "key_mask" in options:
        is_open = is_open & options["key_mask"][:, None, None]
    is_open = (is_open & options.get("attention_mask", torch.ones((), dtype=torch.bool))).expand(scores.shape)
    has_key = is_open.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~is_open & has_key, -math.inf)
    if in_base_2:
        scores = scores * math.log2(math.e)
        weights = (scores - scores.amax(dim=-1, keepdim=True).detach()).exp2()
        return (weights * has_key) @ value / weights.sum(dim=-1, keepdim=True)
    if not divided_last:
        return (scores.softmax(dim=-1) * has_key) @ value
    weights = (scores - scores.amax(dim=-1, keepdim=True).detach()).exp()
    return (weights * has_key) @ value / weights.sum(dim=-1, keepdim=True)


def with_gradients(output: Tensor, weights: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    return [output.detach(), *torch.autograd.grad((output * weights.to(output.dtype)).sum(), leaves)]


def assert_within_rounding(
    actual: list[Tensor], tensors: list[Tensor], weights: Tensor, options: Any, *, in_base_2: bool = False
) -> None:
    """Error <= 3 times the largest error of the plain computations in the same dtype, plus 2 roundings of the result.

    The rule of the tests of flash-attention (github.com/Dao-AILab/flash-attention, tests/test_flash_attn.py), over four
    orders of operations instead of two, each with the features of query and key in four orders: what a library for
    matrices rounds differs from one processor to the next, and small tensors leave much to luck.
    """
    leaves = [tensor.detach().double().requires_grad_() for tensor in tensors]
    in_float64 = {
        name: option.double() if isinstance(option, Tensor) and option.is_floating_point() else option
        for name, option in options.items()
    }
    truth = with_gradients(attention(*leaves, backend="eager", **in_float64), weights, leaves)
    head_dim = tensors[0].shape[-1]
    in_steps = itertools.product((False, True), (False, True), (False, True) if in_base_2 else (False,))
    orders = []
    for number, (scaled_first, divided_last, base_2) in itertools.product(range(4), in_steps):
        features = torch.randperm(head_dim, generator=torch.Generator().manual_seed(number))
        query, key, value = (tensor.detach().clone().requires_grad_() for tensor in tensors)
        output = plain(
            [query[..., features], key[..., features], value],
            options,
            scaled_first=scaled_first,
            divided_last=divided_last,
            in_base_2=base_2,
        )
        orders.append(with_gradients(output, weights, [query, key, value]))
    for index, name in enumerate(("output", "query gradient", "key gradient", "value gradient")):
        expected = truth[index]
        assert actual[index].shape == expected.shape
        assert actual[index].dtype == tensors[0].dtype
        rounded = expected.to(tensors[0].dtype)
        rounding = ((rounded + 0.3 - 0.3).double() - rounded.double()).abs().max()
        plain_error = max((order[index].double() - expected).abs().max() for order in orders)
        error = (actual[index].double() - expected).abs().max()
        assert error <= 3 * plain_error + 2 * rounding, f"{name}: {error} above 3 * {plain_error} + 2 * {rounding}"
