"""Blocks that are declared `residual`: each that is judged wrong differs by one edit from one that passes."""

from typing import NamedTuple

import pytest

from audit.results import Result

from .written import Model, results_of_models

HELPERS = """
class Block(nn.Module):
    def __init__(self, adds=True, skips=False, last=None, gate=None, returns=None):
        super().__init__()
        self.adds, self.skips, self.returns = adds, skips, returns
        self.norm, self.mix = nn.LayerNorm(2), nn.Linear(2, 2)
        self.up = nn.Linear(2, 2) if last is None else last
        self.gate = 1.0 if gate is None else gate
    def forward(self, y):
        mixed = y + self.gate * self.mix(torch.tanh(self.norm(y)))
        branch = self.gate * self.up(torch.tanh(self.norm(mixed)))
        summed = (y if self.skips else mixed) + branch if self.adds else branch
        return summed if self.returns is None else self.returns(summed, branch, y)

def zero(*layers):
    for each in layers:
        nn.init.zeros_(each.weight), nn.init.zeros_(each.bias)
    return layers[0]

class Modulated(nn.Module):
    def __init__(self, adds=True):
        super().__init__()
        self.adds, self.norm, self.up, self.modulation = adds, nn.LayerNorm(2), nn.Linear(2, 2), zero(nn.Linear(2, 6))
    def forward(self, y):
        shift, scale, gate = self.modulation(torch.tanh(y)).chunk(3, dim=-1)
        return y + gate * (self.up(self.norm(y) * (1 + scale) + shift) if self.adds else self.norm(y))
"""
WITH = "return self.block(self.layer(x))"


class Case(NamedTuple):
    """How the block is built, what forward does with it, its branches, and the outcome with a part of its reason."""

    block: str
    outcome: str
    said: str = ""
    forward: str = WITH
    layers: str = "['mix', 'up']"


GATE = "gate=nn.Parameter(torch.zeros(2))"
NARROW = "lambda summed, branch, y: (branch[:, :1], summed)"
WITHIN = "return self.block(self.layer(x))[1]"
CASES = {
    "last_layer_of_zeros": Case("Block(last=zero(nn.Linear(2, 2)))", "passed"),
    "last_layer_of_zeros_left_out": Case(
        "Block(last=zero(nn.Linear(2, 2)), skips=True)", "failed", "what mix computes is not added in block"
    ),
    "last_layer_that_says_nothing": Case(
        "Block(last=nn.Threshold(1e9, 0.0))", "error", "up of block is not run, or returns zeros by itself"
    ),
    "gate_of_zeros": Case(f"Block({GATE})", "passed"),
    "gate_of_zeros_left_out": Case(
        f"Block({GATE}, skips=True)", "failed", "what mix computes is not added in block"
    ),
    "zeros_in_a_branch_undeclared": Case(
        f"Block({GATE})", "error", "beside its declared branches something that begins as zero is added",
        layers="['up']",
    ),
    "gate_that_stays_closed": Case(
        "Block(gate=torch.zeros(2))", "failed", "what mix computes is not added in block"
    ),
    "modulated_from_zero": Case("Modulated()", "passed", layers="['up']"),
    "modulated_from_zero_left_out": Case(
        "Modulated(adds=False)", "error", "something that begins as zero is added", layers="['up']"
    ),
    "second_of_a_tuple": Case(f"Block(returns={NARROW})", "passed", forward=WITHIN),
    "second_of_a_tuple_left_out": Case(
        f"Block(returns={NARROW}, adds=False)", "failed", "block does not return what it was given", forward=WITHIN
    ),
    "first_of_two_of_its_shape": Case(
        "Block(returns=lambda summed, branch, y: (summed, branch))", "passed",
        forward="return self.block(self.layer(x))[0]",
    ),
    "second_of_two_of_its_shape": Case(
        "Block(returns=lambda summed, branch, y: {'branch': branch, 'hidden': [summed]})", "passed",
        forward="return self.block(self.layer(x))['hidden'][0]",
    ),
    "gives_back_beside_it_what_it_was_given": Case(
        "Block(returns=lambda summed, branch, y: (branch, y))", "failed", "what mix computes is not added",
        forward="return self.block(self.layer(x))[0]",
    ),
    "given_in_a_tuple": Case("Packed()", "passed", forward="return self.block((self.layer(x), 'more'))[0]"),
    "returns_other_shapes_alone": Case(
        "Block(returns=lambda summed, branch, y: (branch[:, :1], summed[:, :1]))", "error",
        "is given no tensor of the shape of one that it returns",
        forward="return self.block(self.layer(x))[1].expand(-1, 2)",
    ),
    "given_a_condition_first": Case(
        "Conditioned()", "passed", forward="y = self.layer(x); return self.block(torch.tanh(y) / 2, y)",
        layers="['up']",
    ),
    "added_to_a_parameter": Case(
        "Placed()", "failed", "block does not return what it was given",
        forward="y = self.layer(x); return self.block(y, self.place.expand_as(y)) + y", layers="['up']",
    ),
    "left_out_beside_a_parameter_of_zeros": Case(
        "Placed()", "failed", "block does not return what it was given",
        forward="y = self.layer(x); return self.block(y, 0 * self.place.expand_as(y)) + y", layers="['up']",
    ),
    "given_a_condition_first_left_out": Case(
        "Conditioned(adds=False)", "failed", "block does not return what it was given",
        forward="y = self.layer(x); return self.block(torch.tanh(y) / 2, y)", layers="['up']",
    ),
    "not_run": Case("Block()", "error", "block is not run", forward="return self.layer(x)"),
    "given_zeros": Case("Block()", "error", "block is given zeros",
        forward="return self.block(self.layer(x) * 0) + self.layer(x)"),
    "given_zeros_at_first": Case(
        "Block()", "passed", forward="return self.block(self.first(self.layer(x)))",
    ),
}  # fmt: skip
PACKED = """
class Placed(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(2, 2)
    def forward(self, y, place):
        return place + self.up(torch.tanh(y))

class Conditioned(nn.Module):
    def __init__(self, adds=True):
        super().__init__()
        self.adds, self.up = adds, nn.Linear(2, 2)
    def forward(self, condition, y):
        return (y if self.adds else 0) + self.up(torch.tanh(y) * condition)

class Packed(Block):
    def forward(self, pair):
        return super().forward(pair[0]), pair[1]
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """The one result of each case."""
    models = {
        name: Model(
            built=f"self.block, self.first = {case.block}, zero(nn.Linear(2, 2))\n"
            "        self.place = nn.Parameter(torch.ones(2))",
            forward=case.forward,
            entry=f"['residual'] = {{'block': {case.layers}}}",
        )
        for name, case in CASES.items()
    }
    results = results_of_models(
        tmp_path_factory.mktemp("residual"), models, only=("smoke.residual",), helpers=HELPERS + PACKED
    )
    return {name: each for name in CASES for each in results[name] if each.check == "smoke.residual"}


@pytest.mark.parametrize("name", CASES)
def test_a_block_is_judged(found: dict[str, Result], name: str) -> None:
    case, result = CASES[name], found[name]
    assert (result.outcome.value, case.said in (result.reason or "")) == (case.outcome, True), result.reason
    assert result.fix or result.outcome != "error"


def test_what_is_added_to_is_said_where_it_is_not_given_first(found: dict[str, Result]) -> None:
    said = "; block adds to the tensor that it is given as number 2"
    assert said in (found["given_a_condition_first"].evidence.bound_origin or "")
    assert "it is given as number" not in (found["second_of_a_tuple"].evidence.bound_origin or "")


def test_what_began_as_zero_is_said_where_it_passes(found: dict[str, Result]) -> None:
    noise = "branches speak with noise in the place of the zeros among the parameters"
    assert noise in (found["gate_of_zeros"].evidence.bound_origin or "")
    assert noise not in (found["second_of_a_tuple"].evidence.bound_origin or "")
