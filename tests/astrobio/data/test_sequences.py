import re

import pytest
import torch

from astrobio.data.sequences import (
    AMINO_ACIDS,
    CODON_TABLE,
    END,
    NUCLEOTIDES,
    PAD,
    SHINE_DALGARNO,
    STOP,
    VOCABULARY,
    Genome,
    detokenize,
    padded,
    sample_dna,
    sample_genome,
    sample_protein,
    tokenize_dna,
    tokenize_protein,
    translate,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_genetic_code() -> None:
    assert len(CODON_TABLE) == 64
    assert set(CODON_TABLE.values()) == set(AMINO_ACIDS) | {STOP}
    assert {codon for codon, meaning in CODON_TABLE.items() if meaning == STOP} == {"TAA", "TAG", "TGA"}
    assert [CODON_TABLE[codon] for codon in ("ATG", "TGG", "AAA", "GGC", "CTG", "AGC")] == list("MWKGLS")
    degeneracy = {letter: list(CODON_TABLE.values()).count(letter) for letter in AMINO_ACIDS}
    assert [degeneracy[letter] for letter in "LSRAIMW"] == [6, 6, 6, 4, 3, 1, 1]


def test_translation() -> None:
    assert translate("ATGAAATGGTAA") == "MKW*"
    assert translate("ATGAA") == "M"
    with pytest.raises(ValueError, match="'U' is none of the letters ACGT"):
        translate("AUG")


def test_genes_have_their_signals_and_an_open_reading_frame() -> None:
    dna = sample_dna(Genome(0.5), 4000, generator())
    genes = list(re.finditer(SHINE_DALGARNO + r"[ACGT]{5,9}?ATG", dna))
    assert len(genes) > 20
    whole = 0
    for gene in genes:
        protein, stop, _ = translate(dna[gene.end() - 3 :]).partition(STOP)
        if stop and 15 <= len(protein) <= 45:
            whole += 1
    assert whole >= 0.8 * len(genes)  # a start codon can also come about by chance within a spacer


def test_the_share_of_g_and_c_shows() -> None:
    def share(genome: Genome) -> float:
        dna = sample_dna(genome, 20_000, generator())
        return sum(dna.count(letter) for letter in "GC") / len(dna)

    poor, rich = share(Genome(0.3)), share(Genome(0.7))
    assert poor < 0.45 < 0.55 < rich


def test_synonyms_follow_the_share_of_g_and_c() -> None:
    codons, weights = Genome(0.6).codons_of("K")
    assert codons == ["AAA", "AAG"]
    assert weights[1] / weights[0] == pytest.approx(0.3 / 0.2)
    assert sum(Genome(0.6).nucleotide_shares) == pytest.approx(1.0)


@pytest.mark.parametrize("gc", [0.0, 1.0, -0.5, float("nan")])
def test_a_share_is_between_zero_and_one(gc: float) -> None:
    with pytest.raises(ValueError, match="gc_content must be between 0 and 1"):
        Genome(gc)


def test_amino_acids_come_with_their_frequencies() -> None:
    source = generator()
    text = "".join(sample_protein(source)[1:] for _ in range(1000))
    # Shares of about 29,000 letters: standard deviation below sqrt(0.1 * 0.9 / 29,000) = 0.0018.
    for letter, percent in (("L", 9.64), ("W", 1.10), ("A", 8.25)):
        assert text.count(letter) / len(text) == pytest.approx(percent / 100, abs=0.008)


def test_proteins_begin_with_methionine_and_have_the_stated_length() -> None:
    source = generator()
    proteins = [sample_protein(source) for _ in range(200)]
    assert all(protein[0] == "M" for protein in proteins)
    assert {len(protein) for protein in proteins} <= set(range(15, 46))
    assert len({len(protein) for protein in proteins}) > 20


def test_tokens_and_back() -> None:
    assert detokenize(tokenize_dna("ACGT")) == "ACGT"
    assert detokenize(tokenize_protein(AMINO_ACIDS)) == AMINO_ACIDS
    assert not set(tokenize_dna(NUCLEOTIDES)) & set(tokenize_protein("ACGT"))  # alanine is not adenine
    assert tokenize_protein("MK")[-1] == END
    assert len(set(VOCABULARY)) == len(VOCABULARY) == 28


def test_what_is_no_letter_or_token_is_refused() -> None:
    with pytest.raises(ValueError, match="'N' is none of the letters ACGT"):
        tokenize_dna("ACGN")
    with pytest.raises(ValueError, match="'B' is none of the letters"):
        tokenize_protein("MB")
    with pytest.raises(ValueError, match="tokens must be 0 to 27"):
        detokenize([28])
    with pytest.raises(ValueError, match="length must be at least 1"):
        sample_dna(Genome(0.5), 0, generator())
    with pytest.raises(ValueError, match="one row at least"):
        padded([])


def test_the_same_seed_gives_the_same_strings() -> None:
    def text(seed: int) -> str:
        source = generator(seed)
        return sample_dna(sample_genome(source), 300, source)

    assert text(1) == text(1)
    assert text(1) != text(2)
    assert len(text(1)) == 300


def test_rows_are_padded_and_cut() -> None:
    assert padded([[5, 6], [7]]).tolist() == [[5, 6], [7, PAD]]
    assert padded([[5, 6], [7]], 1).tolist() == [[5], [7]]
