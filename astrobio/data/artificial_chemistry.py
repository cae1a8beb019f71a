"""Compounds as elemental compositions, and the classes of reactions by which metabolism turns one into another.

A reaction class adds a fixed composition to its substrate; cofactors carry the difference (NAD for two hydrogens, ATP
for a phosphate), so that mass is conserved. The classes are those of the Enzyme Commission's nomenclature (IUBMB,
Enzyme Nomenclature 1992 and supplements).
"""

from dataclasses import dataclass

ELEMENTS = ("C", "H", "N", "O", "P", "S")
MAX_CARBON = 10
_MAX_HETERO = {"N": 3, "O": 12, "P": 2, "S": 1}
# Hydrogens beyond twice the carbons that saturate one atom more: two to begin with, one for each nitrogen and
# phosphorus (a phosphate ester, drawn with three single bonds and P=O, adds HPO3).
_EXTRA_VALENCE = {"N": 1, "P": 1}


@dataclass(frozen=True, order=True)
class Compound:
    """An elemental composition; isomers are one compound here.

    Attributes:
        counts: atoms of each of `ELEMENTS`.

    Raises:
        ValueError: not one count for each element, or a negative one.
    """

    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what is no composition."""
        if len(self.counts) != len(ELEMENTS) or min(self.counts) < 0:
            raise ValueError(f"counts must be {len(ELEMENTS)} numbers >= 0 for {ELEMENTS}, got {self.counts}")

    @classmethod
    def of(cls, **atoms: int) -> "Compound":
        """The compound with these atoms: `Compound.of(C=2, H=4, O=2)` is acetic acid.

        Raises:
            ValueError: an element that is not among `ELEMENTS`, or a negative count.
        """
        if unknown := set(atoms) - set(ELEMENTS):
            raise ValueError(f"no such elements here: {', '.join(sorted(unknown))}")
        return cls(tuple(atoms.get(element, 0) for element in ELEMENTS))

    def count(self, element: str) -> int:
        """Atoms of one element."""
        return self.counts[ELEMENTS.index(element)]

    @property
    def formula(self) -> str:
        """The formula in Hill order, carbon and hydrogen first: "C2H4O2"."""
        pairs = zip(ELEMENTS, self.counts, strict=True)
        return "".join(f"{element}{count if count > 1 else ''}" for element, count in pairs if count)

    @property
    def is_stable(self) -> bool:
        """Whether an organic molecule of this size can have the composition.

        It has 1 to `MAX_CARBON` carbons, an even number of free valences, no more hydrogens than saturate it, and not
        more than one oxygen for each carbon and one more, apart from the three of each phosphate.
        """
        carbon, hydrogen, _, oxygen, phosphorus, _ = self.counts
        if not 1 <= carbon <= MAX_CARBON or any(self.count(name) > most for name, most in _MAX_HETERO.items()):
            return False
        saturated = 2 * carbon + 2 + sum(number * self.count(name) for name, number in _EXTRA_VALENCE.items())
        own_oxygen = oxygen - 3 * phosphorus
        return hydrogen <= saturated and (saturated - hydrogen) % 2 == 0 and 0 <= own_oxygen <= carbon + 1

    def plus(self, change: tuple[int, ...]) -> "Compound | None":
        """The composition with `change` added; None where a count would be negative."""
        counts = tuple(have + more for have, more in zip(self.counts, change, strict=True))
        return Compound(counts) if min(counts) >= 0 else None


@dataclass(frozen=True)
class ReactionClass:
    """One kind of reaction.

    Attributes:
        name: what it does.
        ec: its class in the Enzyme Commission's nomenclature.
        change: atoms of each of `ELEMENTS` that the substrate gains.
    """

    name: str
    ec: str
    change: tuple[int, ...]


def _reaction(name: str, ec: str, **change: int) -> ReactionClass:
    return ReactionClass(name, ec, tuple(change.get(element, 0) for element in ELEMENTS))


REACTION_CLASSES = (
    _reaction("dehydrogenation", "1.1", H=-2),  # alcohol to ketone, the hydrogens to NAD
    _reaction("hydroxylation", "1.14", O=1),  # C-H to C-OH with O2
    _reaction("methyl transfer", "2.1", C=1, H=2),  # R-H to R-CH3, from S-adenosylmethionine
    _reaction("acetyl transfer", "2.3", C=2, H=2, O=1),  # R-H to R-COCH3, from acetyl-CoA
    _reaction("reductive amination", "1.4", N=1, H=3, O=-1),  # C=O to C-NH2 with NH3 and NADH
    _reaction("phosphorylation", "2.7", H=1, P=1, O=3),  # R-OH to R-OPO3H2, from ATP
    _reaction("sulfhydrylation", "2.5", S=1, O=-1),  # R-OH to R-SH with H2S
    _reaction("hydration", "4.2", H=2, O=1),  # C=C to CH-COH with water
    _reaction("carboxylation", "6.4", C=1, O=2),  # R-H to R-COOH with CO2
)

# Small products of abiotic chemistry from which networks are expanded: formaldehyde, formic acid, acetic acid
# (or glycolaldehyde), pyruvic acid, glycine.
SEED_COMPOUNDS = (
    Compound.of(C=1, H=2, O=1),
    Compound.of(C=1, H=2, O=2),
    Compound.of(C=2, H=4, O=2),
    Compound.of(C=3, H=4, O=3),
    Compound.of(C=2, H=5, N=1, O=2),
)
