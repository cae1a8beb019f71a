"""The next nucleotide in genomes that were not trained on."""

import math
from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from astrobio.data.sequences import (
    NUCLEOTIDES,
    VOCABULARY,
    padded,
    sample_dna,
    sample_genome,
    sample_protein,
    tokenize_dna,
    tokenize_protein,
)
from astrobio.models.sequence_decoder import SequenceDecoder, SequenceDecoderConfig, next_token_loss
from astrobio.training.task import Batch, Preset, TrainingTask, step_generator

_LENGTH = 160
_PROTEIN_SHARE = 0.25
_NUM_HELD_OUT = 256
_NUM_BASELINE = 4000  # genomes that the baseline counts; six times as many lower its bits by 0.004
_HELD_OUT_STEP = -1  # no step of training has this number
_BASELINE_STEP = -2
_MAX_ORDER = 8


class SequenceDecoderTask(TrainingTask):
    """Fits `SequenceDecoder` to made-up genes and proteins and scores it on other genomes."""

    name = "sequence_decoder"
    model_name = "sequence_decoder_small"
    presets: Mapping[str, Preset] = {
        "base": Preset(steps=2500, batch_size=32, learning_rate=3e-3),
        "fast": Preset(steps=250, batch_size=24, learning_rate=4e-3),
    }

    def build_model(self) -> nn.Module:
        """A new `SequenceDecoder`."""
        return SequenceDecoder(SequenceDecoderConfig())

    def batch(self, step: int, batch_size: int) -> Batch:
        """New genomes at every step, three quarters of the rows DNA and the others proteins."""
        generator = step_generator(self.seed, step)
        is_protein = (torch.rand(batch_size, generator=generator) < _PROTEIN_SHARE).tolist()
        rows = [tokenize_protein(sample_protein(generator)) if protein else _dna(generator) for protein in is_protein]
        return {"tokens": padded(rows, _LENGTH)}

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Cross entropy of the next token in nat."""
        return {"loss": next_token_loss(model(batch["tokens"]), batch["tokens"])}

    @cached_property
    def held_out(self) -> Tensor:
        """Tokens (genomes, L) of DNA from genomes of their own."""
        generator = step_generator(self.seed, _HELD_OUT_STEP)
        return padded([_dna(generator) for _ in range(_NUM_HELD_OUT)])

    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        """Bits for each nucleotide of held-out genomes; two are what a blind guess needs.

        `baseline_bits` is what the best of the Markov chains of order 0 to 8 needs, counted in 4,000 other genomes, and
        `baseline_order` is its order. A chain knows motifs and pieces of codons, but not which letter of a codon it is
        at, nor the genome's share of G and C.
        """
        tokens = self.held_out
        device = next(model.parameters()).device
        nats = float(next_token_loss(model(tokens.to(device)), tokens.to(device)))
        generator = step_generator(self.seed, _BASELINE_STEP)
        counted = padded([_dna(generator) for _ in range(_NUM_BASELINE)])
        chains = {order: markov_bits(counted, tokens, order) for order in range(_MAX_ORDER + 1)}
        best = min(chains, key=lambda order: chains[order])
        return {
            "num_held_out": float(len(tokens)),
            "bits_per_nucleotide": nats / math.log(2),
            "baseline_bits": chains[best],
            "baseline_order": float(best),
        }


def markov_bits(counted: Tensor, scored: Tensor, order: int) -> float:
    """Bits for each letter of `scored` by a Markov chain counted in `counted`, with one added to every count.

    Args:
        counted: (rows, L) tokens, the first of each row the one that says what it is.
        scored: (rows, L) tokens, likewise.
        order: letters that the next one depends on.
    """
    base = len(NUCLEOTIDES) + 1  # and what stands before a row
    counts = torch.ones(base**order, base, dtype=torch.float64)
    before, following = _contexts(counted, order, base)
    counts.view(-1).index_add_(0, before * base + following, torch.ones(len(before), dtype=torch.float64))
    counts[:, 0] = 0.0  # nothing starts in the middle
    shares = counts / counts.sum(dim=1, keepdim=True)
    before, following = _contexts(scored, order, base)
    return float(-shares[before, following].log2().mean())


def _contexts(tokens: Tensor, order: int, base: int) -> tuple[Tensor, Tensor]:
    """Of every letter but the first token, the number of the `order` letters before it, and its own."""
    first = VOCABULARY.index(f"n{NUCLEOTIDES[0]}")
    letters = (tokens - first + 1).clamp_min(0)  # 0 is what is no letter
    start = torch.zeros(len(letters), max(order - 1, 0), dtype=torch.int64)
    extended = torch.cat((start, letters), dim=1)
    length = tokens.shape[1] - 1
    number = torch.zeros(len(letters), length, dtype=torch.int64)
    for back in range(order, 0, -1):
        offset = extended.shape[1] - length - back
        number = number * base + extended[:, offset : offset + length]
    return number.flatten(), letters[:, 1:].flatten()


def _dna(generator: torch.Generator) -> list[int]:
    return tokenize_dna(sample_dna(sample_genome(generator), _LENGTH - 1, generator))
