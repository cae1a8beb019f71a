"""Inputs are made just large enough for a logit of the wanted sign and size."""

import math

import pytest
import torch
from torch import Tensor

from audit.attention.contract import Contract, Projections
from audit.attention.properties.large_logits import _extremes, _grown
from audit.attention.subject import AttentionSubject

NAMES = Projections(query="q", key="k", value="v", output="o")
SIZES = {"num_heads": 4, "num_kv_heads": 2, "head_dim": 6}
# 149 halvings of one give the smallest number above zero in float32; what a maximum is subtracted from is twice as far.
LARGE = 2 * 149 * math.log(2)


def subject(**more: object) -> AttentionSubject:
    contract = Contract.model_validate({**SIZES, "is_causal": True, "key_mask": True, **more})
    is_function = contract.embed_dim is None
    return AttentionSubject(name="x", source={}, contract=contract, declared="", is_function=is_function, decodes=False)


def weights(generator: torch.Generator) -> dict[str, Tensor]:
    sizes = {"q": (24, 10), "k": (12, 10), "v": (12, 10), "o": (10, 24)}
    state = {f"{name}.weight": torch.randn(size, generator=generator) for name, size in sizes.items()}
    return state | {f"{name}.bias": torch.randn(size[0], generator=generator) for name, size in sizes.items()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("is_module", [False, True])
def test_the_largest_logit_of_a_query_that_sees_one_key_has_the_wanted_size(is_module: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    of = subject(embed_dim=10, rotary_base=100.0, projections=NAMES) if is_module else subject()
    state = weights(generator) if is_module else {}
    signs = []
    for extreme in _extremes(of, generator):
        grown = _grown(of, state, extreme)
        assert grown is not None
        logits, allowed = of.logits(state, grown.case)
        alone = allowed & (allowed.sum(dim=-1, keepdim=True) == 1)
        assert alone.any()
        # Roots of a quadratic are exact to a few roundings of its terms, which are of the size of the largest logit.
        rounding = 16 * torch.finfo(torch.float64).eps * float(logits.abs().max())
        assert abs(float((extreme.sign * logits)[alone].max()) - LARGE) <= rounding
        signs.append(extreme.sign)
    assert signs == [1, -1, -1]


def test_no_factor_makes_logits_large_that_do_not_grow() -> None:
    of = subject(scale=0.0)
    assert [_grown(of, {}, extreme) for extreme in _extremes(of, torch.Generator().manual_seed(0))] == [None] * 3
