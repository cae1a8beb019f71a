import pytest
import torch

from astrobio.data.metabolic_networks import MetabolicNetwork, generate_networks
from astrobio.data.network_batches import (
    HIDDEN_FRACTION,
    batch_with_given_edges,
    batch_with_hidden_edges,
)

NETWORKS = generate_networks(6, seed=5)


def pairs_of(indices: torch.Tensor, kept: torch.Tensor) -> set[tuple[int, int]]:
    return {(int(first), int(second)) for first, second in indices[kept].tolist()}


def test_hidden_edges_are_not_given_and_absent_pairs_are_no_edges() -> None:
    batch = batch_with_hidden_edges(NETWORKS, torch.Generator().manual_seed(0))
    for row, network in enumerate(NETWORKS):
        edges = pairs_of(network.edges, torch.ones(len(network.edges), dtype=torch.bool))
        given = pairs_of(batch.edges[row], batch.edge_mask[row])
        hidden = pairs_of(batch.pairs[row], batch.is_edge[row])
        absent = pairs_of(batch.pairs[row], batch.pair_mask[row] & ~batch.is_edge[row])
        assert given | hidden == edges
        assert not given & hidden
        assert not absent & edges
        assert len(hidden) == max(1, round(HIDDEN_FRACTION * len(edges))) == len(absent)


def test_padding_is_zero_and_masked() -> None:
    batch = batch_with_hidden_edges(NETWORKS, torch.Generator().manual_seed(0))
    assert batch.node_mask.sum(dim=1).tolist() == [len(network) for network in NETWORKS]
    assert not batch.compositions[~batch.node_mask].any()
    assert not batch.edges[~batch.edge_mask].any()
    assert not batch.pairs[~batch.pair_mask].any()
    assert not batch.is_edge[~batch.pair_mask].any()
    assert (~batch.node_mask).any()  # or there was nothing to see


def test_given_edges_are_all_asked_for() -> None:
    batch = batch_with_given_edges(NETWORKS, torch.Generator().manual_seed(0))
    for row, network in enumerate(NETWORKS):
        assert pairs_of(batch.pairs[row], batch.is_edge[row]) == pairs_of(batch.edges[row], batch.edge_mask[row])
        assert int(batch.edge_mask[row].sum()) == len(network.edges)


def test_what_leaves_nothing_to_learn_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="needs one network at least"):
        batch_with_hidden_edges([], generator)
    one_edge = MetabolicNetwork(torch.ones(3, 6, dtype=torch.int64), torch.tensor([[0, 1]]))
    with pytest.raises(ValueError, match="with 1 edges is too small"):
        batch_with_hidden_edges([one_edge], generator)
    triangle = MetabolicNetwork(torch.ones(3, 6, dtype=torch.int64), torch.tensor([[0, 1], [0, 2], [1, 2]]))
    with pytest.raises(ValueError, match="every pair of compounds of the network has an edge"):
        batch_with_hidden_edges([triangle], generator)
