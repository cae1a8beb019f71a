import math

import pytest
import torch
from torch import Tensor

from astrobio import create_model, model_card
from astrobio.attention import StaticKVCache
from astrobio.data.sequences import DNA, END, PAD, SPECIAL_TOKENS, VOCABULARY
from astrobio.models.sequence_decoder import (
    MIXERS,
    SequenceDecoder,
    SequenceDecoderConfig,
    next_token_loss,
    sample_inputs,
)


@pytest.fixture
def model() -> SequenceDecoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SequenceDecoder(SequenceDecoderConfig(num_layers=2)).double().eval()


@pytest.fixture
def tokens() -> Tensor:
    return sample_inputs(4, torch.Generator().manual_seed(0))["tokens"]


def test_shapes(model: SequenceDecoder, tokens: Tensor) -> None:
    assert tokens.shape == (4, 48)
    assert model(tokens).shape == (4, 48, len(VOCABULARY))


def test_later_tokens_do_not_reach_earlier_logits(model: SequenceDecoder, tokens: Tensor) -> None:
    changed = tokens.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % len(VOCABULARY)
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:])


def test_padding_on_the_right_does_not_reach_what_stands_before_it(model: SequenceDecoder, tokens: Tensor) -> None:
    longer = torch.cat((tokens, torch.full((4, 9), PAD)), dim=1)
    torch.testing.assert_close(model(longer)[:, :48], model(tokens), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("chunks", [[1] * 48, [7, 1, 40], [48]], ids=["single", "mixed", "whole"])
def test_decoding_through_the_cache_equals_the_whole(model: SequenceDecoder, tokens: Tensor, chunks: list[int]) -> None:
    cache = model.new_cache()
    parts = torch.cat([model(part, cache) for part in tokens.split(chunks, dim=1)], dim=1)
    torch.testing.assert_close(parts, model(tokens), rtol=1e-9, atol=1e-11)
    assert [each.length for each in cache] == [48, 48]


@torch.no_grad()
def test_a_cache_of_fixed_size_serves_as_well(model: SequenceDecoder, tokens: Tensor) -> None:
    attention = model.config.attention()
    sizes = {"batch_size": 4, "num_kv_heads": attention.kv_heads, "head_dim": attention.dim_per_head}
    caches = [StaticKVCache(**sizes, max_length=48, dtype=torch.float64) for _ in model.blocks]
    parts = torch.cat([model(part, caches) for part in tokens.split(16, dim=1)], dim=1)
    torch.testing.assert_close(parts, model(tokens), rtol=1e-9, atol=1e-11)


HYBRID = SequenceDecoderConfig(num_layers=5, mixers=MIXERS, window=4)


@pytest.fixture
def hybrid() -> SequenceDecoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SequenceDecoder(HYBRID).double().eval()


def test_blocks_take_the_mixers_in_turn(hybrid: SequenceDecoder) -> None:
    assert [type(block.attention).__name__ for block in hybrid.blocks] == [
        "GroupedQueryAttention",
        "SlidingWindowAttention",
        "LinearAttention",
        "SelectiveStateSpace",
        "GroupedQueryAttention",
    ]


@pytest.mark.parametrize("chunks", [[1] * 48, [7, 1, 40]], ids=["single", "mixed"])
def test_every_mixer_decodes_through_its_own_cache(hybrid: SequenceDecoder, tokens: Tensor, chunks: list[int]) -> None:
    cache = hybrid.new_cache()
    parts = torch.cat([hybrid(part, cache) for part in tokens.split(chunks, dim=1)], dim=1)
    torch.testing.assert_close(parts, hybrid(tokens), rtol=1e-9, atol=1e-11)
    assert [each.length for each in cache] == [48] * 5


def test_later_tokens_reach_no_earlier_logits_through_any_mixer(hybrid: SequenceDecoder, tokens: Tensor) -> None:
    changed = tokens.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % len(VOCABULARY)
    torch.testing.assert_close(hybrid(changed)[:, :20], hybrid(tokens)[:, :20], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mixers", [(), ("attention", "convolution")])
def test_a_mixer_that_does_not_exist_is_an_error(mixers: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="mixers must be at least one of attention, window, linear, state_space"):
        SequenceDecoderConfig(mixers=mixers)


def test_greedy_generation_takes_the_likeliest_of_the_whole_forward(model: SequenceDecoder, tokens: Tensor) -> None:
    start = tokens[:2, :5]
    made = model.generate(start, 10, temperature=0.0)
    assert torch.equal(made[:, :5], start)
    allowed = [END, *range(len(SPECIAL_TOKENS), len(VOCABULARY))]
    for row in range(2):
        for position in range(5, 15):
            if made[row, position] == PAD:
                assert END in made[row, :position]
                continue
            logits = model(made[row : row + 1, :position])[0, -1].detach()
            assert int(made[row, position]) == max(allowed, key=lambda token: float(logits[token]))


def test_generation_draws_from_the_softmax(model: SequenceDecoder) -> None:
    start = torch.full((4000, 1), DNA)
    drawn = model.generate(start, 1, temperature=0.7, generator=torch.Generator().manual_seed(0))[:, 1]
    logits = model(start[:1])[0, -1]
    allowed = torch.tensor([END, *range(len(SPECIAL_TOKENS), len(VOCABULARY))])
    expected = (logits[allowed] / 0.7).softmax(dim=-1)
    seen = torch.bincount(drawn, minlength=len(VOCABULARY))[allowed] / len(drawn)
    # Six standard deviations of a share among 4,000 draws.
    assert ((seen - expected).abs() <= 6 * (expected * (1 - expected) / 4000).sqrt()).all()


def test_a_row_that_has_ended_is_padded(model: SequenceDecoder) -> None:
    with torch.no_grad():
        model.norm.weight.zero_()  # every logit is zero: the first allowed token, the end, is the likeliest
    made = model.generate(torch.tensor([[DNA]]), 4, temperature=0.0)
    assert made.tolist() == [[DNA, END, PAD, PAD, PAD]]


def test_the_loss_against_its_formula() -> None:
    logits = torch.randn(2, 3, len(VOCABULARY), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tokens = torch.tensor([[DNA, 5, 6], [DNA, 7, PAD]])
    surprise = -logits.log_softmax(dim=-1)
    expected = (surprise[0, 0, 5] + surprise[0, 1, 6] + surprise[1, 0, 7]) / 3
    torch.testing.assert_close(next_token_loss(logits, tokens), expected)
    with pytest.raises(ValueError, match="nothing is left to be predicted"):
        next_token_loss(logits, torch.tensor([[DNA, PAD, PAD], [DNA, PAD, PAD]]))


def test_an_untrained_model_is_about_as_surprised_as_a_blind_guess(tokens: Tensor) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SequenceDecoder(SequenceDecoderConfig()).eval()
    loss = float(next_token_loss(model(tokens), tokens).detach())
    # Logits of variance one add about a half to log(vocabulary) (the mean of a log-normal sum).
    assert math.log(len(VOCABULARY)) - 0.3 < loss < math.log(len(VOCABULARY)) + 1.0


def test_wrong_inputs_are_named(model: SequenceDecoder, tokens: Tensor) -> None:
    with pytest.raises(TypeError, match="tokens must be int64"):
        model(tokens.float())
    with pytest.raises(ValueError, match=r"tokens must be \(B, L\)"):
        model(tokens[0])
    with pytest.raises(ValueError, match="2 blocks, got 1 caches"):
        model(tokens, model.new_cache()[:1])
    with pytest.raises(ValueError, match="max_new_tokens must be at least 1"):
        model.generate(tokens, 0)
    with pytest.raises(ValueError, match="temperature must be"):
        model.generate(tokens, 1, temperature=-1.0)
    with pytest.raises(ValueError, match="no padding"):
        model.generate(torch.tensor([[DNA, PAD]]), 1)


@pytest.mark.parametrize(
    "setting", [{"num_layers": 0}, {"feed_forward_dim": 0}, {"num_kv_heads": 3}, {"embed_dim": 30}]
)
def test_settings_out_of_range_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must be at least 1|is not a multiple"):
        SequenceDecoderConfig(**setting)


def test_it_is_registered_with_a_card() -> None:
    small, base = create_model("sequence_decoder_small"), create_model("sequence_decoder_base")
    assert sum(weight.numel() for weight in small.parameters()) < sum(weight.numel() for weight in base.parameters())
    assert list(model_card("sequence_decoder_small").inputs) == ["tokens"]
