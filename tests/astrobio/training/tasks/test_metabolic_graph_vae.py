from dataclasses import replace

import pytest
import torch

from astrobio.data.metabolic_networks import MetabolicNetwork
from astrobio.data.network_batches import batch_with_given_edges
from astrobio.training.tasks import create_task
from astrobio.training.tasks.metabolic_graph_vae import (
    MetabolicGraphVAETask,
    _joined_shares,
)
from astrobio.training.trainer import fit


@pytest.fixture(scope="module")
def task() -> MetabolicGraphVAETask:
    task = create_task("metabolic_graph_vae", "fast", seed=1)
    assert isinstance(task, MetabolicGraphVAETask)
    return task


def test_no_network_is_both_trained_on_and_held_out(task: MetabolicGraphVAETask) -> None:
    training, held_out = ({network.digest for network in part} for part in task.networks)
    assert len(training) == 1000
    assert len(held_out) == 300
    assert not training & held_out


def test_a_batch_depends_on_seed_and_step_alone(task: MetabolicGraphVAETask) -> None:
    first, again, next_one = task.batch(3, 4), task.batch(3, 4), task.batch(4, 4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["pairs"], next_one["pairs"])


def test_an_untrained_model_knows_nothing(task: MetabolicGraphVAETask) -> None:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        figures = task.evaluate(task.build_model().eval())
    assert 0.2 < figures["auc"] < 0.8
    assert figures["num_held_out"] == 300


def test_a_model_that_knows_the_answer_scores_one(task: MetabolicGraphVAETask) -> None:
    """Edges of held-out networks, looked up: the score is one, and the labels do not reach the model by themselves."""
    _, held_out = task.networks
    known = {network.digest: network for network in held_out}

    class Oracle(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, **inputs: torch.Tensor) -> object:
            assert not {"is_edge", "pair_mask"} & set(inputs)
            logits = torch.zeros(inputs["pairs"].shape[:2])
            for row, network in enumerate(known.values()):
                edges = {tuple(pair) for pair in network.edges.tolist()}
                for column, pair in enumerate(inputs["pairs"][row].tolist()):
                    logits[row, column] = float(tuple(pair) in edges)
            return type("Output", (), {"pair_logits": logits})

    figures = task.evaluate(Oracle())
    assert figures["auc"] == figures["auc_plausible"] == 1.0


def path() -> MetabolicNetwork:
    """Formaldehyde, methanol, methyl phosphate, joined in a row."""
    compositions = torch.tensor([[1, 2, 0, 1, 0, 0], [1, 4, 0, 1, 0, 0], [1, 5, 0, 4, 1, 0]])
    return MetabolicNetwork(compositions, torch.tensor([[0, 1], [1, 2]]))


def test_pairs_are_scored_by_what_joins_pairs_like_them() -> None:
    """Formaldehyde to methanol and methanol to its phosphate are joined; nothing joins the first with the last."""
    batch = batch_with_given_edges([path()], torch.Generator().manual_seed(0))
    shares = dict(zip(map(tuple, batch.pairs[0].tolist()), _joined_shares(batch)[0].tolist(), strict=True))
    assert shares == {(0, 1): 0.75, (1, 2): 0.75, (0, 2): -1.0}  # (1 + 0.5) / (1 + 1)


def test_a_pair_like_one_that_is_not_joined_has_a_smaller_share() -> None:
    """Methane and formaldehyde could each be hydroxylated; one is."""
    compositions = torch.tensor([[1, 2, 0, 1, 0, 0], [1, 2, 0, 2, 0, 0], [1, 4, 0, 0, 0, 0], [1, 4, 0, 1, 0, 0]])
    network = MetabolicNetwork(compositions, torch.tensor([[0, 1]]))
    batch = batch_with_given_edges([network], torch.Generator().manual_seed(0))
    every = torch.combinations(torch.arange(4))[None]
    asked = replace(batch, pairs=every)
    shares = dict(zip(map(tuple, every[0].tolist()), _joined_shares(asked)[0].tolist(), strict=True))
    assert shares[0, 1] == shares[2, 3] == 0.5  # one of two is joined: (1 + 0.5) / (2 + 1)
    assert shares[1, 2] == -1.0


@pytest.mark.slow
def test_the_fast_preset_learns_more_than_chance() -> None:
    _, figures = fit(create_task("metabolic_graph_vae", "fast", seed=0))
    assert figures["auc"] > 0.85
    assert figures["baseline_auc"] > 0.95  # the rule is hard to beat in so short a time
