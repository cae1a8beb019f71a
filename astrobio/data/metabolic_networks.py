"""Metabolic networks: graphs whose nodes are compounds and whose edges join a substrate with its product.

Generated ones are expanded from seed compounds by the enzymes of a random genome, as the scope of a set of compounds
is found (Handorf, Ebenhoeh & Heinrich 2005, Expanding metabolic networks, Journal of Molecular Evolution 61). Cofactors
such as water and ATP are no nodes, since they would join everything with everything (Wagner & Fell 2001, The small
world inside large metabolic networks, Proceedings of the Royal Society B 268).
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.data.artificial_chemistry import ELEMENTS, MAX_CARBON, REACTION_CLASSES, SEED_COMPOUNDS, Compound

MIN_NODES = 16
MAX_NODES = 48
_ENZYME_PROBABILITY = (0.35, 0.75)  # range from which each genome draws its own

# Compounds of a real network that take part in most reactions, by the names of the BiGG database (King et al. 2016).
CURRENCY_METABOLITES = frozenset(
    {"h", "h2o", "atp", "adp", "amp", "pi", "ppi", "nad", "nadh", "nadp", "nadph", "coa", "co2", "o2", "nh4"}
    | {"q8", "q8h2"}
)


@dataclass(frozen=True, eq=False)
class MetabolicNetwork:
    """One undirected graph without loops.

    Attributes:
        compositions: (N, 6) int64, atoms of each of `ELEMENTS` in every compound.
        edges: (E, 2) int64, pairs of node indices, the smaller first, sorted, each once.

    Raises:
        ValueError: shapes do not fit, or an edge is a loop, out of order, repeated or beyond the nodes.
    """

    compositions: Tensor
    edges: Tensor

    def __post_init__(self) -> None:
        """Refuse what is no such graph."""
        if self.compositions.dim() != 2 or self.compositions.shape[1] != len(ELEMENTS):
            raise ValueError(f"compositions must be (N, {len(ELEMENTS)}), got {tuple(self.compositions.shape)}")
        if self.edges.dim() != 2 or self.edges.shape[1] != 2:
            raise ValueError(f"edges must be (E, 2), got {tuple(self.edges.shape)}")
        pairs = [(int(first), int(second)) for first, second in self.edges.tolist()]
        if any(not 0 <= first < second < len(self) for first, second in pairs) or pairs != sorted(set(pairs)):
            raise ValueError("edges must be sorted pairs of two nodes, the smaller index first, each pair once")

    def __len__(self) -> int:
        """The number of compounds."""
        return len(self.compositions)

    @property
    def digest(self) -> str:
        """The same for two networks with the same compounds, in whatever order, and the same edges between them."""
        names = ["-".join(map(str, row)) for row in self.compositions.tolist()]
        edges = sorted(sorted((names[first], names[second])) for first, second in self.edges.tolist())
        return hashlib.sha256(repr((sorted(names), edges)).encode()).hexdigest()


def generate_network(generator: torch.Generator) -> MetabolicNetwork:
    """The network of a random genome: connected, of `MIN_NODES` to `MAX_NODES` compounds.

    A genome has, for each reaction class, enzymes for some sizes of substrate (carbons) with or without phosphate; a
    random share of them in each genome. Its compounds are found by expansion from one of the seeds, in random order.

    Args:
        generator: on the CPU; draws the genome and the size, again where a genome cannot reach the size.
    """
    while True:
        low, high = _ENZYME_PROBABILITY
        share = low + (high - low) * float(torch.rand((), generator=generator))
        # reaction class, carbons of the substrate, whether it has a phosphate
        drawn = torch.rand(len(REACTION_CLASSES), MAX_CARBON + 1, 2, generator=generator) < share
        genome: list[list[list[bool]]] = drawn.tolist()
        size = int(torch.randint(MIN_NODES, MAX_NODES + 1, (), generator=generator))
        seed = SEED_COMPOUNDS[int(torch.randint(len(SEED_COMPOUNDS), (), generator=generator))]
        compounds = _expanded(seed, genome, size, generator)
        if len(compounds) == size:
            return _network_of(compounds, genome)


def generate_networks(num_networks: int, seed: int) -> list[MetabolicNetwork]:
    """Networks with different digests; the same seed gives the same list.

    Raises:
        ValueError: `num_networks` is below 1.
    """
    if num_networks < 1:
        raise ValueError(f"num_networks must be at least 1, got {num_networks}")
    generator = torch.Generator().manual_seed(seed)
    networks: dict[str, MetabolicNetwork] = {}
    while len(networks) < num_networks:
        network = generate_network(generator)
        networks.setdefault(network.digest, network)
    return list(networks.values())


def network_from_reactions(
    formulas: Mapping[str, str],
    reactions: Iterable[Mapping[str, float]],
    *,
    currency: Collection[str] = CURRENCY_METABOLITES,
) -> MetabolicNetwork:
    """The network of a stoichiometric model.

    Args:
        formulas: formula of each compound by its name; elements that are not among `ELEMENTS` are left out.
        reactions: stoichiometric coefficients by compound, negative for substrates.
        currency: names of compounds that become no nodes.

    Returns:
        Nodes sorted by name: the compounds that take part in a reaction with another one.

    Raises:
        ValueError: a reaction names a compound without a formula, or a formula cannot be read.
    """
    pairs: set[tuple[str, str]] = set()
    for reaction in reactions:
        for name in reaction:
            if name not in formulas:
                raise ValueError(f"a reaction names {name!r}, for which there is no formula")
        kept = {name: amount for name, amount in reaction.items() if name not in currency and amount}
        pairs |= {(one, other) for one in kept for other in kept if kept[one] < 0 < kept[other]}
    names = sorted({name for pair in pairs for name in pair})
    index = {name: position for position, name in enumerate(names)}
    edges = {(min(index[one], index[other]), max(index[one], index[other])) for one, other in pairs}
    compositions = [_atoms_in(formulas[name]) for name in names]
    return MetabolicNetwork(
        compositions=torch.tensor(compositions, dtype=torch.int64).view(-1, len(ELEMENTS)),
        edges=torch.tensor(sorted(edges), dtype=torch.int64).view(-1, 2),
    )


def e_coli_core() -> MetabolicNetwork:
    """The central metabolism of E. coli (Orth, Fleming & Palsson 2010), from the model that cobrapy brings along.

    Compounds of the cytosol and outside of it are one node.

    Raises:
        ImportError: cobrapy is not installed.
    """
    try:
        from cobra.io import load_model
    except ImportError as error:
        raise ImportError(
            "the E. coli core model comes with cobrapy: pip install 'astrobio-audit[networks]'"
        ) from error
    model = load_model("textbook")
    formulas = {_without_compartment(each.id): each.formula for each in model.metabolites}
    reactions = []
    for reaction in model.reactions:
        total: dict[str, float] = {}
        for metabolite, amount in reaction.metabolites.items():
            name = _without_compartment(metabolite.id)
            total[name] = total.get(name, 0.0) + amount
        if len(total) <= 12:  # the biomass reaction joins 23 compounds and is no reaction
            reactions.append(total)
    return network_from_reactions(formulas, reactions)


def _without_compartment(identifier: str) -> str:
    return identifier.rpartition("_")[0]


def _atoms_in(formula: str) -> list[int]:
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    if "".join(element + number for element, number in parts) != formula or not formula:
        raise ValueError(f"cannot read the formula {formula!r}")
    counts = dict.fromkeys(ELEMENTS, 0)
    for element, number in parts:
        if element in counts:
            counts[element] += int(number or 1)
    return list(counts.values())


def _products(compound: Compound, genome: list[list[list[bool]]]) -> list[Compound]:
    """What the enzymes make of a compound, stable products only."""
    carbon, has_phosphate = compound.count("C"), compound.count("P") > 0
    changed = [
        compound.plus(kind.change)
        for kind, enzymes in zip(REACTION_CLASSES, genome, strict=True)
        if enzymes[carbon][has_phosphate]
    ]
    return [product for product in changed if product is not None and product.is_stable]


def _expanded(seed: Compound, genome: list[list[list[bool]]], size: int, generator: torch.Generator) -> list[Compound]:
    """Up to `size` compounds that the enzymes make of the seed, in the order in which they are found."""
    found = {seed: None}  # a set that keeps its order
    front = [seed]
    while front and len(found) < size:
        at = int(torch.randint(len(front), (), generator=generator))
        products = _products(front.pop(at), genome)
        for product in products:
            if product not in found and len(found) < size:
                found[product] = None
                front.append(product)
    return list(found)


def _network_of(compounds: list[Compound], genome: list[list[list[bool]]]) -> MetabolicNetwork:
    compounds = sorted(compounds)
    index = {compound: position for position, compound in enumerate(compounds)}
    edges = {
        (min(index[compound], index[product]), max(index[compound], index[product]))
        for compound in compounds
        for product in _products(compound, genome)
        if product in index
    }
    return MetabolicNetwork(
        compositions=torch.tensor([compound.counts for compound in compounds], dtype=torch.int64),
        edges=torch.tensor(sorted(edges), dtype=torch.int64).view(-1, 2),
    )
