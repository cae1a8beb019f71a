import importlib.util

import pytest
import torch

from astrobio.data.artificial_chemistry import ELEMENTS, REACTION_CLASSES, Compound
from astrobio.data.metabolic_networks import (
    MAX_NODES,
    MIN_NODES,
    MetabolicNetwork,
    e_coli_core,
    generate_networks,
    network_from_reactions,
)

NETWORKS = generate_networks(40, seed=3)


def reached(network: MetabolicNetwork) -> set[int]:
    found, front = {0}, [0]
    neighbours: dict[int, list[int]] = {}
    for first, second in network.edges.tolist():
        neighbours.setdefault(first, []).append(second)
        neighbours.setdefault(second, []).append(first)
    while front:
        for each in neighbours.get(front.pop(), []):
            if each not in found:
                found.add(each)
                front.append(each)
    return found


def test_a_network_is_connected_and_of_the_stated_size() -> None:
    for network in NETWORKS:
        assert MIN_NODES <= len(network) <= MAX_NODES
        assert len(reached(network)) == len(network)


def test_compounds_are_stable_and_each_there_once() -> None:
    for network in NETWORKS:
        rows = [tuple(row) for row in network.compositions.tolist()]
        assert len(set(rows)) == len(rows)
        assert all(Compound(row).is_stable for row in rows)


def test_an_edge_joins_what_one_reaction_turns_into_the_other() -> None:
    changes = {kind.change for kind in REACTION_CLASSES}
    for network in NETWORKS:
        for first, second in network.edges.tolist():
            difference = network.compositions[second] - network.compositions[first]
            assert tuple(difference.tolist()) in changes or tuple((-difference).tolist()) in changes


def test_enzymes_of_one_kind_work_on_all_their_substrates() -> None:
    """A genome has an enzyme or not: of two substrates alike, none is left out whose product is there."""
    for network in NETWORKS:
        names = [tuple(row) for row in network.compositions.tolist()]
        index = {name: position for position, name in enumerate(names)}
        edges = {tuple(pair) for pair in network.edges.tolist()}
        for kind in REACTION_CLASSES:
            works: dict[tuple[int, bool], set[bool]] = {}
            for name in names:
                product = Compound(name).plus(kind.change)
                if product is None or product.counts not in index:
                    continue
                pair = tuple(sorted((index[name], index[product.counts])))
                size = (Compound(name).count("C"), Compound(name).count("P") > 0)
                works.setdefault(size, set()).add(pair in edges)
            assert all(len(answers) == 1 for answers in works.values())


def test_the_same_seed_gives_the_same_networks_and_another_seed_others() -> None:
    digests = [network.digest for network in NETWORKS]
    assert [network.digest for network in generate_networks(40, seed=3)] == digests
    assert len(set(digests)) == len(digests)
    assert not set(digests) & {network.digest for network in generate_networks(40, seed=4)}


def test_the_digest_does_not_depend_on_the_order_of_compounds() -> None:
    network = NETWORKS[0]
    order = torch.randperm(len(network), generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    edges = place[network.edges].sort(dim=1).values.tolist()
    shuffled = MetabolicNetwork(network.compositions[order], torch.tensor(sorted(edges)))
    assert shuffled.digest == network.digest
    fewer = MetabolicNetwork(network.compositions, network.edges[1:])
    assert fewer.digest != network.digest


@pytest.mark.parametrize(
    "edges",
    [[[0, 0]], [[1, 0]], [[0, 2]], [[0, 1], [0, 1]], [[-1, 1]]],
    ids=["loop", "order", "beyond", "twice", "negative"],
)
def test_what_is_no_graph_is_refused(edges: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="sorted pairs of two nodes"):
        MetabolicNetwork(torch.ones(2, 6, dtype=torch.int64), torch.tensor(edges))


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"compositions must be \(N, 6\)"):
        MetabolicNetwork(torch.ones(2, 5, dtype=torch.int64), torch.tensor([[0, 1]]))
    with pytest.raises(ValueError, match=r"edges must be \(E, 2\)"):
        MetabolicNetwork(torch.ones(2, 6, dtype=torch.int64), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="num_networks must be at least 1"):
        generate_networks(0, seed=0)


GLYCOLYSIS_START = {
    "glc": "C6H12O6",
    "g6p": "C6H11O9P",
    "f6p": "C6H11O9P",
    "atp": "C10H12N5O13P3",
    "adp": "C10H12N5O10P2",
}


def test_reactions_become_edges_between_substrates_and_products_without_cofactors() -> None:
    reactions = [{"glc": -1.0, "atp": -1.0, "g6p": 1.0, "adp": 1.0}, {"g6p": -1.0, "f6p": 1.0}]
    network = network_from_reactions(GLYCOLYSIS_START, reactions)
    assert network.compositions.tolist() == [[6, 11, 0, 9, 1, 0], [6, 11, 0, 9, 1, 0], [6, 12, 0, 6, 0, 0]]
    assert network.edges.tolist() == [[0, 1], [1, 2]]  # f6p-g6p, g6p-glc
    with_cofactors = network_from_reactions(GLYCOLYSIS_START, reactions, currency=())
    assert len(with_cofactors) == 5


def test_two_substrates_of_one_reaction_are_not_joined() -> None:
    network = network_from_reactions({"a": "CH4", "b": "CO", "c": "C2H4O"}, [{"a": -1.0, "b": -1.0, "c": 1.0}])
    assert network.edges.tolist() == [[0, 2], [1, 2]]


def test_a_compound_without_a_readable_formula_is_named() -> None:
    with pytest.raises(ValueError, match="names 'b', for which there is no formula"):
        network_from_reactions({"a": "CH4"}, [{"a": -1.0, "b": 1.0}])
    with pytest.raises(ValueError, match=r"cannot read the formula 'C2\(H4\)'"):
        network_from_reactions({"a": "CH4", "b": "C2(H4)"}, [{"a": -1.0, "b": 1.0}])


HAS_COBRA = importlib.util.find_spec("cobra") is not None


@pytest.mark.skipif(HAS_COBRA, reason="cobrapy is installed: it is not missing")
def test_without_cobrapy_the_message_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"pip install 'astrobio-audit\[networks\]'"):
        e_coli_core()


@pytest.mark.skipif(not HAS_COBRA, reason="needs cobrapy: pip install 'astrobio-audit[networks]'")
@pytest.mark.filterwarnings("ignore")  # what cobrapy's dependencies say is not ours
def test_the_core_metabolism_of_e_coli_is_connected() -> None:
    network = e_coli_core()
    assert network.compositions.shape == (len(network), len(ELEMENTS))
    assert len(network) == 38  # of 54 compounds 16 are currency; water among them
    assert len(reached(network)) == len(network)
