import pytest

from astrobio.data.artificial_chemistry import REACTION_CLASSES, SEED_COMPOUNDS, Compound

CHANGES = {kind.name: kind.change for kind in REACTION_CLASSES}


@pytest.mark.parametrize(
    ("reaction", "substrate", "product"),
    [
        ("dehydrogenation", Compound.of(C=2, H=6, O=1), "C2H4O"),  # ethanol, acetaldehyde
        ("hydroxylation", Compound.of(C=1, H=4), "CH4O"),  # methane, methanol
        ("methyl transfer", Compound.of(C=1, H=4, O=1), "C2H6O"),  # methanol, dimethyl ether
        ("acetyl transfer", Compound.of(C=2, H=6, O=1), "C4H8O2"),  # ethanol, ethyl acetate
        ("reductive amination", Compound.of(C=3, H=4, O=3), "C3H7NO2"),  # pyruvic acid, alanine
        ("phosphorylation", Compound.of(C=6, H=12, O=6), "C6H13O9P"),  # glucose, glucose 6-phosphate
        ("sulfhydrylation", Compound.of(C=3, H=7, N=1, O=3), "C3H7NO2S"),  # serine, cysteine
        ("hydration", Compound.of(C=4, H=4, O=4), "C4H6O5"),  # fumaric acid, malic acid
        ("carboxylation", Compound.of(C=3, H=4, O=3), "C4H4O5"),  # pyruvic acid, oxaloacetic acid
    ],
)
def test_each_reaction_class_makes_a_known_product(reaction: str, substrate: Compound, product: str) -> None:
    made = substrate.plus(CHANGES[reaction])
    assert made is not None
    assert made.formula == product
    assert substrate.is_stable
    assert made.is_stable


def test_every_reaction_class_has_an_example() -> None:
    assert len(CHANGES) == len(REACTION_CLASSES) == 9


@pytest.mark.parametrize(
    ("compound", "why"),
    [
        (Compound.of(C=1, H=5), "a hydrogen too many"),
        (Compound.of(C=2, H=5), "a radical"),
        (Compound.of(H=2, O=1), "no carbon"),
        (Compound.of(C=11, H=24), "too large"),
        (Compound.of(C=1, H=4, O=3), "more oxygen than the backbone carries"),
        (Compound.of(C=3, H=9, P=1, O=2), "a phosphate without its oxygens"),
    ],
)
def test_what_is_no_molecule_is_not_stable(compound: Compound, why: str) -> None:
    assert not compound.is_stable, why


def test_seeds_are_stable() -> None:
    assert all(compound.is_stable for compound in SEED_COMPOUNDS)


def test_no_atom_count_is_negative() -> None:
    assert Compound.of(C=1, H=1).plus(CHANGES["dehydrogenation"]) is None
    with pytest.raises(ValueError, match="counts must be 6 numbers >= 0"):
        Compound((1, -1, 0, 0, 0, 0))
    with pytest.raises(ValueError, match="no such elements here: Fe"):
        Compound.of(Fe=1)
