"""Strings of nucleotides and amino acids: the genetic code, and genomes made up from what is common to bacteria.

A gene has a Shine-Dalgarno sequence (Shine & Dalgarno 1974), a spacer, a start codon, codons and a stop codon. Amino
acids come with the frequencies of known proteins, synonymous codons with those of a genome's share of G and C, which is
the main difference between the codon usage of bacteria (Knight, Freeland & Landweber 2001). Proteins are the
translations. Order within a protein is random: what can be learned of it ends with the frequencies and the start.
"""

import itertools
from bisect import bisect_right
from dataclasses import dataclass

import torch
from torch import Tensor

NUCLEOTIDES = "ACGT"
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
STOP = "*"

# The standard genetic code (NCBI translation table 1), codons in the order TCAG.
_CODE = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODON_TABLE: dict[str, str] = dict(zip(map("".join, itertools.product("TCAG", repeat=3)), _CODE, strict=True))

# Percent of each amino acid in the proteins of UniProtKB/Swiss-Prot (release statistics of 2023).
_FREQUENCIES = {
    **{"A": 8.25, "R": 5.52, "N": 4.06, "D": 5.46, "C": 1.38, "Q": 3.93, "E": 6.71, "G": 7.07, "H": 2.27, "I": 5.90},
    **{"L": 9.64, "K": 5.79, "M": 2.41, "F": 3.86, "P": 4.74, "S": 6.65, "T": 5.36, "W": 1.10, "Y": 2.92, "V": 6.85},
}

SHINE_DALGARNO = "AGGAGG"
_SPACER_LENGTHS = (5, 9)
_CODONS_PER_GENE = (15, 45)
_INTERGENIC_LENGTHS = (5, 25)
_GC_RANGE = (0.3, 0.7)

SPECIAL_TOKENS = ("<pad>", "<dna>", "<protein>", "<end>")
PAD, DNA, PROTEIN, END = range(len(SPECIAL_TOKENS))
# One vocabulary; nucleotides and amino acids that share a letter are different tokens.
VOCABULARY = (*SPECIAL_TOKENS, *(f"n{letter}" for letter in NUCLEOTIDES), *(f"p{letter}" for letter in AMINO_ACIDS))


def translate(dna: str) -> str:
    """The amino acids that the codons of `dna` stand for, from its first letter to its last whole codon.

    Raises:
        ValueError: a letter is none of A, C, G, T.
    """
    _check_letters(dna, NUCLEOTIDES)
    return "".join(CODON_TABLE[dna[start : start + 3]] for start in range(0, len(dna) - 2, 3))


def tokenize_dna(dna: str) -> list[int]:
    """Tokens of a string of nucleotides, after the one that says so.

    Raises:
        ValueError: a letter is none of A, C, G, T.
    """
    _check_letters(dna, NUCLEOTIDES)
    return [DNA, *(_TOKEN_OF[f"n{letter}"] for letter in dna)]


def tokenize_protein(protein: str) -> list[int]:
    """Tokens of a whole protein: what it is, its amino acids, and its end.

    Raises:
        ValueError: a letter is none of the twenty amino acids.
    """
    _check_letters(protein, AMINO_ACIDS)
    return [PROTEIN, *(_TOKEN_OF[f"p{letter}"] for letter in protein), END]


def detokenize(tokens: list[int]) -> str:
    """The letters that tokens stand for, without those that are special.

    Raises:
        ValueError: a token is not of the vocabulary.
    """
    if any(not 0 <= token < len(VOCABULARY) for token in tokens):
        raise ValueError(f"tokens must be 0 to {len(VOCABULARY) - 1}, got {min(tokens)} to {max(tokens)}")
    return "".join(VOCABULARY[token][1] for token in tokens if token >= len(SPECIAL_TOKENS))


_TOKEN_OF = {name: token for token, name in enumerate(VOCABULARY)}


def _check_letters(text: str, alphabet: str) -> None:
    if wrong := sorted(set(text) - set(alphabet)):
        raise ValueError(f"{wrong[0]!r} is none of the letters {alphabet}")


@dataclass(frozen=True)
class Genome:
    """What the genes of one organism have in common.

    Attributes:
        gc_content: share of G and C where nothing else decides.

    Raises:
        ValueError: the share is not between 0 and 1.
    """

    gc_content: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0.0 < self.gc_content < 1.0:
            raise ValueError(f"gc_content must be between 0 and 1, got {self.gc_content}")

    @property
    def nucleotide_shares(self) -> list[float]:
        """The share of each of `NUCLEOTIDES`."""
        return [self.gc_content / 2 if letter in "GC" else (1 - self.gc_content) / 2 for letter in NUCLEOTIDES]

    def codons_of(self, amino_acid: str) -> tuple[list[str], list[float]]:
        """The codons of an amino acid or of `STOP`, and their weights: the product of their letters' shares."""
        share = dict(zip(NUCLEOTIDES, self.nucleotide_shares, strict=True))
        codons = [codon for codon, meaning in CODON_TABLE.items() if meaning == amino_acid]
        return codons, [share[codon[0]] * share[codon[1]] * share[codon[2]] for codon in codons]


def sample_genome(generator: torch.Generator) -> Genome:
    """A genome with a share of G and C drawn uniformly between 0.3 and 0.7."""
    low, high = _GC_RANGE
    return Genome(low + (high - low) * float(torch.rand((), generator=generator)))


def sample_protein(generator: torch.Generator) -> str:
    """The amino acids of a protein of 15 to 45, the first one methionine."""
    low, high = _CODONS_PER_GENE
    length = int(torch.randint(low, high + 1, (), generator=generator))
    weights = torch.tensor(list(_FREQUENCIES.values()))
    letters = list(_FREQUENCIES)
    drawn = torch.multinomial(weights, length - 1, replacement=True, generator=generator).tolist()
    return "M" + "".join(letters[index] for index in drawn)


def sample_dna(genome: Genome, length: int, generator: torch.Generator) -> str:
    """The first `length` nucleotides of a stretch of genes, beginning between two of them.

    Raises:
        ValueError: `length` is below 1.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    parts: list[str] = []
    missing = length
    while missing > 0:
        gene = _random_dna(genome, _INTERGENIC_LENGTHS, generator) + SHINE_DALGARNO
        gene += _random_dna(genome, _SPACER_LENGTHS, generator) + _coding(genome, sample_protein(generator), generator)
        parts.append(gene)
        missing -= len(gene)
    return "".join(parts)[:length]


def _random_dna(genome: Genome, lengths: tuple[int, int], generator: torch.Generator) -> str:
    length = int(torch.randint(lengths[0], lengths[1] + 1, (), generator=generator))
    drawn = torch.multinomial(torch.tensor(genome.nucleotide_shares), length, replacement=True, generator=generator)
    return "".join(NUCLEOTIDES[index] for index in drawn.tolist())


def _coding(genome: Genome, protein: str, generator: torch.Generator) -> str:
    """Codons of the protein and of a stop, each drawn from its synonyms."""
    synonyms = {meaning: genome.codons_of(meaning) for meaning in protein + STOP}
    units = torch.rand(len(protein) + 1, generator=generator).tolist()
    chosen = []
    for meaning, unit in zip(protein + STOP, units, strict=True):
        codons, weights = synonyms[meaning]
        bounds = list(itertools.accumulate(weights))
        # Rounding may put a unit next to 1 beyond the last bound.
        chosen.append(codons[min(bisect_right(bounds, unit * bounds[-1]), len(codons) - 1)])
    return "".join(chosen)


def padded(rows: list[list[int]], length: int | None = None) -> Tensor:
    """Rows of tokens in one int64 tensor (B, length), padded or cut at the right; None means the longest row.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("a batch needs one row at least")
    width = max(map(len, rows)) if length is None else length
    return torch.tensor([row[:width] + [PAD] * (width - len(row)) for row in rows], dtype=torch.int64)
