"""What a script writes out as right is what the oracle computes, for every contract that it says it can write."""

from typing import Any

import pytest
import torch

from audit.attention import oracle
from audit.attention.contract import Contract
from audit.attention.reproducers.reference import can_be_written, reference
from audit.attention.subject import AttentionSubject

FUNCTION = {"num_heads": 4, "num_kv_heads": 2, "head_dim": 8, "is_causal": True, "key_mask": True}
PROJECTIONS = {"query": "q", "key": "k", "value": "v", "output": "o"}
MODULE = FUNCTION | {"embed_dim": 12, "projections": PROJECTIONS}
SAYS = [
    {},
    {"scale": 0.3, "head_grouping": "tiled"},
    {"causal_alignment": "top_left"},
    {"window": 3},
    {"window": 3, "window_counts_query": False},
    {"window": 2, "num_global_tokens": 2},
    {"soft_cap": 2.0},
    {"alibi_slopes": "published"},
    {"alibi_slopes": (0.5, 0.1, 1.0, 0.0), "soft_cap": 3.0, "window": 4},
    {"value_scale": 0.25},
    {"given_mask": "replaces"},
    {"empty_row": "uniform"},
    {"empty_row": "zeros"},
]


def subject(contract: Contract, *, is_function: bool) -> AttentionSubject:
    return AttentionSubject(
        name="x", source={}, contract=contract, declared="a:b", is_function=is_function, decodes=False
    )


def written(of: AttentionSubject) -> Any:
    assert can_be_written(of)
    names: dict[str, Any] = {"torch": torch, "IS_CAUSAL": True}
    exec("\n".join(reference(of)), names)
    return names["reference"]


def keys(length: int) -> torch.Tensor:
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[0, :3] = False
    return mask


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("says", SAYS, ids=str)
def test_of_a_function(says: dict[str, Any], masked: bool) -> None:
    contract = Contract.model_validate(FUNCTION | says)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(2, heads, length, 8, generator=generator).double() for heads, length in ((4, 5), (2, 7), (2, 7))
    )
    mask = keys(7)[:, None, None] if masked else None
    expected = oracle.core(query, key, value, contract=contract, is_causal=True, mask=mask)
    inputs = {"query": query, "key": key, "value": value} | ({} if mask is None else {"mask": mask})
    found = written(subject(contract, is_function=True))(inputs, None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("says", [*SAYS, {"rotary_base": 100.0}, {"sinks": "sinks"}], ids=str)
def test_of_a_module(says: dict[str, Any], masked: bool) -> None:
    contract = Contract.model_validate(MODULE | says)
    torch.manual_seed(0)
    module = torch.nn.ModuleDict(
        {
            "q": torch.nn.Linear(12, 32),
            "k": torch.nn.Linear(12, 16),
            "v": torch.nn.Linear(12, 16),
            "o": torch.nn.Linear(32, 12),
        }
    ).double()
    module.register_parameter("sinks", torch.nn.Parameter(torch.randn(4).double()))
    inputs = {"hidden_states": torch.randn(2, 7, 12).double()} | ({"key_mask": keys(7)} if masked else {})
    state = dict(module.state_dict())
    expected = oracle.module(state, inputs["hidden_states"], contract=contract, key_mask=inputs.get("key_mask"))
    found = written(subject(contract, is_function=False))(inputs, module)
    torch.testing.assert_close(found.detach(), expected, rtol=0, atol=1e-12)


def test_what_is_not_written_is_said() -> None:
    for says in ({"feature_map": "relu"}, {"empty_row": "nan"}):
        assert not can_be_written(subject(Contract.model_validate(FUNCTION | says), is_function=True))
