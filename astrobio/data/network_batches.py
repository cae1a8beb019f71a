"""Metabolic networks of different sizes in one batch, with some of their edges hidden to be predicted."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.data.metabolic_networks import MetabolicNetwork

HIDDEN_FRACTION = 0.15  # as Kipf & Welling 2016 hide: 10 % to test and 5 % to validate


@dataclass(frozen=True, eq=False)
class NetworkBatch:
    """Networks padded to a common size. What lies beyond a network's own size is zero and False.

    Attributes:
        compositions: (B, N, 6) float32, atoms of each element in every compound.
        node_mask: (B, N) bool, True for a compound.
        edges: (B, E, 2) int64, pairs of node indices that are given.
        edge_mask: (B, E) bool, True for an edge.
        pairs: (B, P, 2) int64, pairs of nodes to be judged: hidden edges and as many pairs without an edge.
        pair_mask: (B, P) bool, True for a pair.
        is_edge: (B, P) bool, True for a hidden edge.
    """

    compositions: Tensor
    node_mask: Tensor
    edges: Tensor
    edge_mask: Tensor
    pairs: Tensor
    pair_mask: Tensor
    is_edge: Tensor

    def inputs(self) -> dict[str, Tensor]:
        """The keyword arguments of `MetabolicGraphVAE.forward`."""
        return {
            "compositions": self.compositions,
            "node_mask": self.node_mask,
            "edges": self.edges,
            "edge_mask": self.edge_mask,
            "pairs": self.pairs,
        }


def batch_with_given_edges(networks: Sequence[MetabolicNetwork], generator: torch.Generator) -> NetworkBatch:
    """Give all edges of each network, and ask for them again among as many pairs without an edge.

    Raises:
        ValueError: no networks, or one without an edge or without an absent pair.
    """
    given = [network.edges for network in networks]
    return _batch(networks, given, given, generator)


def batch_with_hidden_edges(networks: Sequence[MetabolicNetwork], generator: torch.Generator) -> NetworkBatch:
    """Hide `HIDDEN_FRACTION` of the edges of each network, one at least, and ask for them among as many absent pairs.

    Raises:
        ValueError: no networks, or one with fewer than two edges or without an absent pair.
    """
    given, hidden = [], []
    for network in networks:
        num_hidden = max(1, round(HIDDEN_FRACTION * len(network.edges)))
        order = torch.randperm(len(network.edges), generator=generator)
        hidden.append(network.edges[order[:num_hidden]])
        given.append(network.edges[order[num_hidden:].sort().values])
    return _batch(networks, given, hidden, generator)


def _batch(
    networks: Sequence[MetabolicNetwork], given: list[Tensor], asked: list[Tensor], generator: torch.Generator
) -> NetworkBatch:
    if not networks:
        raise ValueError("a batch needs one network at least")
    pairs, labels = [], []
    for network, known, wanted in zip(networks, given, asked, strict=True):
        if len(known) == 0 or len(wanted) == 0:
            raise ValueError(f"a network with {len(network.edges)} edges is too small: none are left to give or to ask")
        absent = _absent_pairs(network, len(wanted), generator)
        pairs.append(torch.cat((wanted, absent)))
        labels.append(torch.arange(len(wanted) + len(absent)) < len(wanted))
    edges, edge_mask = _padded(given)
    candidates, pair_mask = _padded(pairs)
    compositions, node_mask = _padded([network.compositions for network in networks])
    is_edge, _ = _padded(labels)
    return NetworkBatch(compositions.float(), node_mask, edges, edge_mask, candidates, pair_mask, is_edge)


def _absent_pairs(network: MetabolicNetwork, number: int, generator: torch.Generator) -> Tensor:
    absent = torch.ones(len(network), len(network), dtype=torch.bool).triu(diagonal=1)
    absent[network.edges[:, 0], network.edges[:, 1]] = False
    candidates = absent.nonzero()
    if len(candidates) == 0:
        raise ValueError("every pair of compounds of the network has an edge: there is nothing to tell apart")
    return candidates[torch.randperm(len(candidates), generator=generator)[:number]]


def _padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(stacked rows with zeros behind the shorter ones, which entries are their own)."""
    stacked = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return stacked, torch.arange(stacked.shape[1]) < lengths[:, None]
