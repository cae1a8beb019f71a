from typing import Any

import pytest
import torch

from audit.probe.guess import gates

Find = Any

GATED = """
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.gate = nn.Parameter(torch.full((dim,), {start}))

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return x + self.gate * nn.functional.scaled_dot_product_attention(q, k, v)
"""


@pytest.mark.parametrize(("start", "opened"), [("0.0", ["gate"]), ("1e-6", ["gate"]), ("1.0", [])])
def test_a_gate_that_lets_nothing_through_is_opened(written: Find, start: str, opened: list[str]) -> None:
    found = written(GATED.format(start=start), "Attention")
    assert found.subject()["choices"]["opened"] == opened
    module = found.callee().module
    assert bool((module.gate.abs() > 1e-3).all())
    assert bool(module.gate.std() > 0.1) is bool(opened)
    assert torch.equal(module.gate, found.callee().module.gate)


def test_a_zero_that_hides_nothing_stays_as_it_is(written: Find) -> None:
    source = GATED.format(start="0.0").replace("self.gate *", "(1 + self.gate) *")
    found = written(source, "Attention")
    assert found.subject()["choices"]["opened"] == []
    assert bool((found.callee().module.gate == 0).all())


def test_a_bias_is_no_gate() -> None:
    layer = torch.nn.Linear(3, 3)
    torch.nn.init.zeros_(layer.bias)
    assert gates.closed(layer) == []
    torch.nn.init.zeros_(layer.weight)
    assert gates.closed(layer) == ["weight"]
