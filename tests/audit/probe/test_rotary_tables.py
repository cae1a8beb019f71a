"""The base of a rotary embedding is read from the tables that a module keeps, in any of their usual forms."""

import pytest
import torch

from audit.probe.rotary_tables import bases

_ANGLES = torch.outer(torch.arange(16), 10000.0 ** (-torch.arange(0, 8, 2) / 8))
TABLES = {
    "frequencies": 10000.0 ** (-torch.arange(0, 8, 2) / 8),
    "cosines": _ANGLES.cos(),
    "sines": _ANGLES.sin(),
    "cosines twice": _ANGLES.cos().repeat(1, 2),
    "sines of pairs": _ANGLES.sin().repeat_interleave(2, dim=1),
    "with axes in front": _ANGLES.cos()[None, None],
    "complex": torch.polar(torch.ones_like(_ANGLES), _ANGLES),
}
OTHERS = {
    "ones": torch.ones(4),
    "one number": torch.tensor(1.0),
    "none": torch.empty(0),
    "a causal mask": torch.ones(8, 8).tril(),
    "whole numbers": torch.arange(8),
    "not finite": torch.full((4, 4), torch.nan),
    "too small": torch.tensor([1.0, 1e-30] + [0.0] * 62),
    "sparse": torch.eye(4).to_sparse(),
    "no series": torch.tensor([1.0, 0.1, 0.05, 0.04]),
}


def holding(table: torch.Tensor) -> torch.nn.Module:
    module = torch.nn.Module()
    module.register_buffer("table", table, persistent=False)
    return module


@pytest.mark.parametrize("name", TABLES)
def test_the_base_of_a_table(name: str) -> None:
    assert bases(holding(TABLES[name])) == [10000.0]


@pytest.mark.parametrize("name", OTHERS)
def test_other_buffers_have_none(name: str) -> None:
    assert bases(holding(OTHERS[name])) == []


def test_no_module_has_none() -> None:
    assert bases(None) == []
