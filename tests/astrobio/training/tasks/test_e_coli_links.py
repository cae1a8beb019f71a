"""The script that asks a graph VAE for edges of E. coli, on a network that is at hand."""

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from astrobio.data.metabolic_networks import MetabolicNetwork, generate_networks

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "e_coli_links.py"
(NETWORK,) = generate_networks(1, seed=5)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("e_coli_links", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Knowing(nn.Module):
    """Knows every edge, or takes every edge for none."""

    def __init__(self, network: MetabolicNetwork, *, sign: float) -> None:
        super().__init__()
        self.edges, self.sign = network.edges, sign

    def forward(self, pairs: Tensor, **others: Tensor) -> SimpleNamespace:
        known = (pairs[0, :, None] == self.edges).all(dim=-1).any(dim=-1)
        return SimpleNamespace(pair_logits=self.sign * known[None].float())


@pytest.mark.parametrize(("sign", "area"), [(1.0, 1.0), (0.0, 0.5), (-1.0, 0.0)])
def test_what_the_model_knows_is_its_area(script: ModuleType, sign: float, area: float) -> None:
    assert script.areas(Knowing(NETWORK, sign=sign), NETWORK, splits=3)["model"] == [area] * 3


def test_the_rules_count_atoms_and_edges(script: ModuleType) -> None:
    compositions = torch.tensor([[1, 2, 0, 0, 0, 0], [3, 2, 0, 0, 0, 0], [3, 2, 1, 0, 0, 0]])
    batch = SimpleNamespace(
        compositions=compositions[None].float(),
        edges=torch.tensor([[[0, 1], [1, 2]]]),
        pairs=torch.tensor([[[0, 1], [0, 2]]]),
    )
    by_atoms, by_edges = script.rules(batch)
    assert by_atoms.tolist() == [-2.0, -3.0]
    assert by_edges.tolist() == [2, 1]
