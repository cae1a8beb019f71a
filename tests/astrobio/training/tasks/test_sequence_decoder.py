import math

import pytest
import torch
from torch import Tensor, nn

from astrobio.data.sequences import DNA, NUCLEOTIDES, PROTEIN, VOCABULARY, tokenize_dna
from astrobio.training.tasks import create_task
from astrobio.training.tasks.sequence_decoder import SequenceDecoderTask, markov_bits
from astrobio.training.trainer import fit


@pytest.fixture(scope="module")
def task() -> SequenceDecoderTask:
    task = create_task("sequence_decoder", "fast", seed=1)
    assert isinstance(task, SequenceDecoderTask)
    return task


def test_a_batch_depends_on_seed_and_step_alone(task: SequenceDecoderTask) -> None:
    assert torch.equal(task.batch(3, 8)["tokens"], task.batch(3, 8)["tokens"])
    assert not torch.equal(task.batch(3, 8)["tokens"], task.batch(4, 8)["tokens"])


def test_a_batch_holds_dna_and_proteins(task: SequenceDecoderTask) -> None:
    kinds = task.batch(0, 64)["tokens"][:, 0]
    assert set(kinds.tolist()) == {DNA, PROTEIN}
    assert (kinds == DNA).sum() > (kinds == PROTEIN).sum()


def test_held_out_genomes_are_in_no_batch(task: SequenceDecoderTask) -> None:
    held_out = {tuple(row) for row in task.held_out.tolist()}
    assert len(held_out) == 256
    for step in range(20):
        assert not held_out & {tuple(row) for row in task.batch(step, 24)["tokens"].tolist()}


class Uniform(nn.Module):
    """Takes the four nucleotides for equally likely."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, tokens: Tensor) -> Tensor:
        logits = torch.full((*tokens.shape, len(VOCABULARY)), -1e4)
        logits[..., [VOCABULARY.index(f"n{letter}") for letter in NUCLEOTIDES]] = 0.0
        return logits


@pytest.mark.slow
def test_a_blind_guess_needs_two_bits_and_the_baseline_less(task: SequenceDecoderTask) -> None:
    with torch.no_grad():
        figures = task.evaluate(Uniform())
    assert figures["bits_per_nucleotide"] == pytest.approx(2.0, abs=1e-6)
    assert 1.5 < figures["baseline_bits"] < 1.98
    assert figures["baseline_order"] >= 2  # it knows pieces of codons


def rows(*texts: str) -> Tensor:
    return torch.tensor([tokenize_dna(text) for text in texts])


def test_a_chain_of_order_one_by_hand() -> None:
    """Counted in ACAC: after the start A once; after A C twice; after C A once. One is added to each of four."""
    expected = [2 / 5, 3 / 6, 2 / 5]  # A, then C after A, then A after C
    bits = -sum(math.log2(share) for share in expected) / 3
    assert markov_bits(rows("ACAC"), rows("ACA"), 1) == pytest.approx(bits)


def test_a_chain_of_order_zero_by_hand() -> None:
    expected = [4 / 8, 1 / 8]  # three A of four letters, with one added to each; no T
    assert markov_bits(rows("AAAC"), rows("AT"), 0) == pytest.approx(-sum(map(math.log2, expected)) / 2)


def test_a_longer_memory_helps_where_there_is_something_to_remember() -> None:
    text = rows("ACGT" * 30)
    assert markov_bits(text, text, 1) < 0.3
    assert markov_bits(text, text, 0) > 1.9


@pytest.mark.slow
def test_the_fast_preset_beats_every_markov_chain() -> None:
    _, figures = fit(create_task("sequence_decoder", "fast", seed=0))
    assert figures["bits_per_nucleotide"] < figures["baseline_bits"]
