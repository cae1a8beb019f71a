"""What decoding through a cache gives where positions of the rotary embedding are counted wrongly."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from audit.attention import oracle
from audit.attention.contract import Contract
from audit.attention.oracle import Departure
from audit.attention.subject import Case

_NOT_TURNED = Departure(turned=(0, 0, 0))


def decoded_with_offset(contract: Contract, state: Mapping[str, Tensor], case: Case) -> Iterator[Tensor]:
    """Yield what decoding one token at a time gives under each wrong count of positions that the oracle can compute.

    The position of token i is 0 (the count begins again with each call), i - 1 or i + 1 behind the first.
    """
    length = case.inputs.shape[1]
    right = torch.arange(length)
    for positions in (torch.zeros(length), (right - 1).clamp_min(0), right + (right > 0)):
        yield _decoded(contract, state, case, positions.double())


def _decoded(contract: Contract, state: Mapping[str, Tensor], case: Case, positions: Tensor) -> Tensor:
    assert contract.rotary_base is not None
    assert contract.projections is not None
    weights = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    hidden = case.inputs.double()
    query, key, value = oracle.projected(weights, hidden, contract=contract, departure=_NOT_TURNED)
    query, key = (_rotated(x, contract, positions) for x in (query, key))
    context = oracle.core(query, key, value, contract=contract, is_causal=True)
    names = contract.projections
    weight, bias = weights[f"{names.output}.weight"], weights.get(f"{names.output}.bias")
    return torch.nn.functional.linear(context.transpose(1, 2).flatten(2), weight, bias)


def _rotated(x: Tensor, contract: Contract, positions: Tensor) -> Tensor:
    """Rotate as the oracle does, at these positions: those of the oracle, gathered."""
    assert contract.rotary_base is not None
    half = contract.dim // 2
    frequencies = contract.rotary_base ** (-torch.arange(half).double() / half)
    angles = positions[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    if contract.rotary_layout == "half":
        first, second = x[..., :half], x[..., half:]
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    first, second = x[..., 0::2], x[..., 1::2]
    return torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-1).flatten(-2)
