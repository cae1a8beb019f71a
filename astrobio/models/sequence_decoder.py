"""A causal language model of DNA and proteins: grouped-query attention, rotary positions and a cache for decoding.

Blocks may also mix tokens within a window, by linear attention or by a selective state space, whose caches do not grow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrobio.attention import (
    AttentionConfig,
    Cache,
    GroupedQueryAttention,
    LinearAttention,
    LinearState,
    SelectiveStateSpace,
    SlidingWindowAttention,
    StateSpaceConfig,
    StateSpaceState,
)
from astrobio.data.sequences import (
    END,
    PAD,
    SPECIAL_TOKENS,
    VOCABULARY,
    padded,
    sample_dna,
    sample_genome,
    sample_protein,
    tokenize_dna,
    tokenize_protein,
)
from astrobio.registry import ModelCard, register_model

MIXERS = ("attention", "window", "linear", "state_space")
LayerCache = Cache | LinearState | StateSpaceState


@dataclass(frozen=True)
class SequenceDecoderConfig:
    """Settings of `SequenceDecoder`.

    Attributes:
        embed_dim: size of a token's state.
        num_layers: transformer blocks.
        num_heads: query heads per block.
        num_kv_heads: key/value heads per block, a divisor of `num_heads`.
        feed_forward_dim: hidden size of a block's feed-forward part.
        rotary_base: base of the rotary position embedding.
        mixers: how blocks mix tokens, of `MIXERS`; the blocks take them in turn. "attention" sees all earlier tokens,
            "window" the last `window`, "linear" is linear attention, "state_space" a Mamba layer.
        window: tokens that a block with "window" sees, its own included.
        dropout_p: probability with which an attention weight is dropped, in training only. Linear attention and state
            spaces have no weights to drop.
        backend: attention backend, "auto" or a name.

    Raises:
        ValueError: a setting is out of range.
    """

    embed_dim: int = 64
    num_layers: int = 3
    num_heads: int = 4
    num_kv_heads: int = 2
    feed_forward_dim: int = 128
    rotary_base: float = 1000.0
    mixers: tuple[str, ...] = ("attention",)
    window: int = 16
    dropout_p: float = 0.0
    backend: str = "auto"

    def __post_init__(self) -> None:
        """Refuse settings that describe no model."""
        for name in ("num_layers", "feed_forward_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        unknown = [mixer for mixer in self.mixers if mixer not in MIXERS]
        if unknown or not self.mixers:
            raise ValueError(f"mixers must be at least one of {', '.join(MIXERS)}, got {self.mixers}")
        for mixer in ("attention", "window", "linear"):
            self.attention(mixer)

    def attention(self, mixer: str = "attention") -> AttentionConfig:
        """The settings of the attention in every block with this mixer."""
        if mixer == "linear":
            return AttentionConfig(
                embed_dim=self.embed_dim,
                num_heads=self.num_heads,
                num_kv_heads=self.num_kv_heads,
                is_causal=True,
                feature_map="elu_plus_one",
            )
        return AttentionConfig(
            embed_dim=self.embed_dim,
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            is_causal=True,
            rotary_base=self.rotary_base,
            window=self.window if mixer == "window" else None,
            dropout_p=self.dropout_p,
            backend=self.backend,
        )


class DecoderBlock(nn.Module):
    """Pre-norm block: a causal mixer, then a gated feed-forward network (Shazeer 2020), each added to its input."""

    def __init__(self, config: SequenceDecoderConfig, mixer: str = "attention") -> None:
        """Build one block with a mixer of `MIXERS`."""
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.embed_dim)
        self.attention = _mixer(config, mixer)
        self.feed_forward_norm = nn.RMSNorm(config.embed_dim)
        self.gate = nn.Linear(config.embed_dim, config.feed_forward_dim, bias=False)
        self.up = nn.Linear(config.embed_dim, config.feed_forward_dim, bias=False)
        self.down = nn.Linear(config.feed_forward_dim, config.embed_dim, bias=False)

    def new_cache(self) -> LayerCache:
        """An empty cache of the kind that the block's mixer takes."""
        return self.attention.new_cache()

    def forward(self, states: Tensor, cache: LayerCache | None = None) -> Tensor:
        """(B, L, embed_dim) to the same shape; new keys and values go into the cache."""
        states = states + self.attention(self.attention_norm(states), cache=cache)
        normed = self.feed_forward_norm(states)
        output: Tensor = states + self.down(F.silu(self.gate(normed)) * self.up(normed))
        return output


def _mixer(
    config: SequenceDecoderConfig, mixer: str
) -> GroupedQueryAttention | SlidingWindowAttention | LinearAttention | SelectiveStateSpace:
    if mixer == "state_space":
        return SelectiveStateSpace(StateSpaceConfig(embed_dim=config.embed_dim))
    if mixer == "linear":
        return LinearAttention(config.attention(mixer))
    if mixer == "window":
        return SlidingWindowAttention(config.attention(mixer))
    return GroupedQueryAttention(config.attention())


def sample_inputs(batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Keyword arguments of `SequenceDecoder.forward`: every other row DNA, the others proteins, padded on the right."""
    return {"tokens": padded([_sample_row(row, generator) for row in range(batch_size)], 48)}


def _sample_row(row: int, generator: torch.Generator) -> list[int]:
    if row % 2:
        return tokenize_protein(sample_protein(generator))
    return tokenize_dna(sample_dna(sample_genome(generator), 47, generator))


def next_token_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """Mean cross entropy in nat of each token but the first of a row, given those before it; padding does not count.

    Args:
        logits: (B, L, vocabulary).
        tokens: (B, L) int64.

    Returns:
        A scalar in the dtype of the logits.

    Raises:
        ValueError: no token is left to be predicted.
    """
    wanted = tokens[:, 1:]
    if not (wanted != PAD).any():
        raise ValueError("no row has a second token: nothing is left to be predicted")
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), wanted.flatten(), ignore_index=PAD)


_CARD = ModelCard(
    task="The next nucleotide of a stretch of DNA, or the next amino acid of a protein, from those before it",
    inputs={"tokens": "(B, L) int64, tokens of astrobio.data.sequences.VOCABULARY, padded on the right with 0"},
    outputs={"logits": f"(B, L, {len(VOCABULARY)}), of the token after each; at padding they mean nothing"},
    units={"tokens": "1", "logits": "nat"},
    license="Apache-2.0",
    limits=(
        "It learned from made-up genes that share the genetic code, codon usage and signals of bacteria, and nothing "
        "else: no real gene or protein can be recognised, completed or designed with it.",
        "Its genes have 15 to 45 codons; longer ones are extrapolation.",
    ),
    references=(
        "Vaswani et al. 2017, Attention is all you need",
        "Su et al. 2021, RoFormer",
        "Ainslie et al. 2023, GQA",
        "Zhang & Sennrich 2019, Root mean square layer normalization",
        "Shazeer 2020, GLU variants improve transformer",
        "Beltagy et al. 2020, Longformer",
        "Katharopoulos et al. 2020, Transformers are RNNs",
        "Gu & Dao 2023, Mamba",
        "Press & Wolf 2017, Using the output embedding to improve language models",
    ),
    ranges={"tokens": (0, len(VOCABULARY) - 1)},
    free_dims={"tokens": (1,)},
)


@register_model(
    "sequence_decoder_hybrid_small",
    config=SequenceDecoderConfig(embed_dim=48, num_layers=4, feed_forward_dim=64, mixers=MIXERS),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=lambda output, inputs: next_token_loss(output, inputs["tokens"]),
)
@register_model(
    "sequence_decoder_base",
    config=SequenceDecoderConfig(embed_dim=128, num_layers=6, num_heads=8, num_kv_heads=2, feed_forward_dim=384),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=lambda output, inputs: next_token_loss(output, inputs["tokens"]),
)
@register_model(
    "sequence_decoder_small",
    config=SequenceDecoderConfig(),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=lambda output, inputs: next_token_loss(output, inputs["tokens"]),
)
class SequenceDecoder(nn.Module):
    """A decoder-only transformer whose output weights are its embedding (Press & Wolf 2017)."""

    def __init__(self, config: SequenceDecoderConfig) -> None:
        """Build the model that `config` describes."""
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(len(VOCABULARY), config.embed_dim)
        nn.init.normal_(self.embed.weight, std=1.0 / math.sqrt(config.embed_dim))  # logits of order 1 at the start
        mixers = [config.mixers[index % len(config.mixers)] for index in range(config.num_layers)]
        self.blocks = nn.ModuleList(DecoderBlock(config, mixer) for mixer in mixers)
        self.norm = nn.RMSNorm(config.embed_dim)

    def new_cache(self) -> list[LayerCache]:
        """An empty cache for each block."""
        return [cast(DecoderBlock, block).new_cache() for block in self.blocks]

    def forward(self, tokens: Tensor, cache: Sequence[LayerCache] | None = None) -> Tensor:
        """The logits of the token after each.

        Args:
            tokens: (B, L) int64. Padding on the right does not reach what stands before it.
            cache: one for each block, see `new_cache`; `tokens` continue what it holds.

        Returns:
            (B, L, vocabulary) in the dtype of the weights.

        Raises:
            TypeError: the tokens are not int64.
            ValueError: another shape, or not one cache for each block.
        """
        if tokens.dtype != torch.int64:
            raise TypeError(f"tokens must be int64, got {tokens.dtype}")
        if tokens.dim() != 2:
            raise ValueError(f"tokens must be (B, L), got {tuple(tokens.shape)}")
        if cache is not None and len(cache) != len(self.blocks):
            raise ValueError(f"the model has {len(self.blocks)} blocks, got {len(cache)} caches")
        states = self.embed(tokens)
        for index, block in enumerate(self.blocks):
            states = block(states, None if cache is None else cache[index])
        return F.linear(self.norm(states), self.embed.weight)

    @torch.no_grad()
    def generate(
        self, tokens: Tensor, max_new_tokens: int, *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Continue rows of equal length, one token at a time, through the cache.

        Args:
            tokens: (B, L) int64 without padding.
            max_new_tokens: tokens to add to each row.
            temperature: 0 takes the likeliest token; else logits are divided by it and a token is drawn.
            generator: draws the tokens.

        Returns:
            (B, L + max_new_tokens). After `END` a row is padded. Special tokens but `END` are never drawn.

        Raises:
            TypeError, ValueError: as `forward` does; padding in `tokens`; `max_new_tokens` below 1; a temperature
                below 0.
        """
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
        if not 0.0 <= temperature < math.inf:
            raise ValueError(f"temperature must be finite and not negative, got {temperature}")
        if tokens.numel() == 0 or (tokens == PAD).any():
            raise ValueError("every row must begin with a token and have no padding")
        forbidden = torch.tensor([token for token in range(len(SPECIAL_TOKENS)) if token != END], device=tokens.device)
        cache = self.new_cache()
        new, has_ended = tokens, torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
        for _ in range(max_new_tokens):
            logits = self(new, cache)[:, -1].index_fill(1, forbidden, -math.inf)
            if temperature == 0.0:
                drawn = logits.argmax(dim=-1)
            else:
                drawn = torch.multinomial((logits / temperature).softmax(dim=-1), 1, generator=generator)[:, 0]
            new = drawn.masked_fill(has_ended, PAD)[:, None]
            has_ended = has_ended | (drawn == END)
            tokens = torch.cat((tokens, new), dim=1)
        return tokens
