"""Joins a climate, a spectrum and a metabolic network by cross attention and says whether the planet is habitable.

Each kind of data becomes tokens: a latitude's seasonal cycle, a stretch of the spectrum, a compound of the network. A
few learned queries attend to all of them and to one another (Jaegle et al. 2021, Perceiver), so that the cost grows
linearly with the number of tokens.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrobio.attention import AttentionConfig, CrossAttention, MultiHeadAttention
from astrobio.data.artificial_chemistry import ELEMENTS
from astrobio.data.energy_balance import NUM_LATITUDES, NUM_TIMES
from astrobio.data.habitability import HabitabilityDataset, make_habitability_dataset
from astrobio.data.network_batches import batch_with_given_edges
from astrobio.data.spectra_dataset import PROPERTY_RANGES, measure
from astrobio.data.transmission import NUM_WAVELENGTHS, PROPERTY_NAMES
from astrobio.models.metabolic_graph_vae import TYPICAL_COUNTS, MessagePassing, require_nodes
from astrobio.models.spectrum_features import NUM_KNOWN, property_scaling, spectrum_features
from astrobio.registry import ModelCard, register_model

# Temperatures of warm and frozen planets are of order 1 after these.
_TEMPERATURE_CENTRE_K, _TEMPERATURE_SCALE_K = 273.15, 30.0


@dataclass(frozen=True)
class HabitabilityFusionConfig:
    """Settings of `HabitabilityFusion`.

    Attributes:
        embed_dim: size of a token.
        num_queries: learned queries that collect what matters.
        num_layers: rounds of cross attention and self-attention.
        num_heads: query heads in each.
        patch_size: wavelengths per token, a divisor of their number.

    Raises:
        ValueError: a setting is out of range.
    """

    embed_dim: int = 48
    num_queries: int = 4
    num_layers: int = 2
    num_heads: int = 4
    patch_size: int = 8

    def __post_init__(self) -> None:
        """Refuse settings that describe no model."""
        for name in ("num_queries", "num_layers", "patch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if NUM_WAVELENGTHS % self.patch_size:
            raise ValueError(f"patch_size must divide the {NUM_WAVELENGTHS} wavelengths, got {self.patch_size}")
        self.attention()

    def attention(self) -> AttentionConfig:
        """The settings of every attention."""
        return AttentionConfig(embed_dim=self.embed_dim, num_heads=self.num_heads)


class FusionBlock(nn.Module):
    """Pre-norm block: queries attend to the tokens, then to one another, then pass a feed-forward network."""

    def __init__(self, config: HabitabilityFusionConfig) -> None:
        """Build one block."""
        super().__init__()
        size = config.embed_dim
        self.query_norm = nn.LayerNorm(size)
        self.token_norm = nn.LayerNorm(size)
        self.cross_attention = CrossAttention(config.attention())
        self.self_norm = nn.LayerNorm(size)
        self.self_attention = MultiHeadAttention(config.attention())
        self.feed_forward_norm = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))

    def forward(self, queries: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
        """(B, queries, embed_dim) to the same shape; tokens (B, T, embed_dim), mask (B, T) bool, True for a token."""
        context = self.token_norm(tokens)
        queries = queries + self.cross_attention(self.query_norm(queries), context, key_mask=token_mask)
        queries = queries + self.self_attention(self.self_norm(queries))
        output: Tensor = queries + self.feed_forward(self.feed_forward_norm(queries))
        return output


def sample_inputs(batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Keyword arguments of `HabitabilityFusion.forward` for a few simulated planets, in float32."""
    planets = _example_planets()
    rounds = -(-batch_size // len(planets))  # each planet once before one comes again
    drawn = torch.cat([torch.randperm(len(planets), generator=generator) for _ in range(rounds)])
    return model_inputs(planets[drawn[:batch_size]], generator)


@lru_cache(maxsize=1)
def _example_planets() -> HabitabilityDataset:
    return make_habitability_dataset(16, seed=0)


def model_inputs(dataset: HabitabilityDataset, generator: torch.Generator) -> dict[str, Tensor]:
    """Keyword arguments of `HabitabilityFusion.forward` for these planets; the generator draws the spectra's noise."""
    measured = measure(dataset.depth, generator)
    networks = batch_with_given_edges(dataset.networks, generator)
    return {
        "temperature_k": dataset.temperature_k,
        "depth": measured.depth,
        "noise": measured.noise,
        "properties": dataset.planets.properties.float(),
        "compositions": networks.compositions,
        "node_mask": networks.node_mask,
        "edges": networks.edges,
        "edge_mask": networks.edge_mask,
    }


def entropy_loss(output: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Mean entropy in nat of what the model says: least where it is sure of each planet, right or wrong.

    It needs no labels, which the inputs do not hold (Grandvalet & Bengio 2005); training uses the cross entropy.
    """
    return (F.softplus(output) - output * output.sigmoid()).mean()


_CARD = ModelCard(
    task="Whether a planet is habitable, from its seasonal climate, its transmission spectrum and a metabolic network",
    inputs={
        "temperature_k": f"(B, {NUM_TIMES} times, {NUM_LATITUDES} latitudes), surface temperature",
        "depth": f"(B, {NUM_WAVELENGTHS}), transit depth, 0.5 to 16 micrometres",
        "noise": "(B, 1), standard deviation of the noise of a bin",
        "properties": f"(B, {len(PROPERTY_NAMES)}), columns: {', '.join(PROPERTY_NAMES)}",
        "compositions": f"(B, N compounds, {len(ELEMENTS)}), atoms of {', '.join(ELEMENTS)} in each; 0 for padding",
        "node_mask": "(B, N) bool, True for a compound, False for padding",
        "edges": "(B, E, 2) int64, pairs of compounds that a reaction joins; 0 for padding",
        "edge_mask": "(B, E) bool, True for an edge, False for padding",
    },
    outputs={"logit": "(B,), log odds that the planet is habitable"},
    units={
        "temperature_k": "K",
        "depth": "1",
        "noise": "1",
        "radius_earth": "6371 km",
        "gravity_m_s2": "m/s2",
        "star_radius_sun": "695700 km",
        **dict.fromkeys(ELEMENTS, "atoms per molecule"),
        "logit": "nat",
    },
    license="Apache-2.0",
    limits=(
        "Habitable is a definition of astrobio.data.habitability, not an observation; no planet confirms it.",
        "All three kinds of data are simulated; see the limits of the climate surrogate, the spectral autoencoder and "
        "the metabolic graph autoencoder.",
        "Close to a threshold of the definition, noise decides.",
        "Climate, spectrum and network of a simulated planet are drawn independently and can contradict one another.",
    ),
    references=(
        "Spiegel, Menou & Scharf 2008, Habitable climates, Astrophysical Journal 681",
        "Jaegle et al. 2021, Perceiver: general perception with iterative attention",
        "Vaswani et al. 2017, Attention is all you need",
    ),
    columns={"properties": PROPERTY_NAMES, "compositions": ELEMENTS},
    ranges={
        **{name: PROPERTY_RANGES[name] for name in ("radius_earth", "gravity_m_s2", "star_radius_sun")},
        "temperature_k": (150.0, 450.0),  # the climate's and the atmosphere's
        "depth": (0.0, 1.0),
        "noise": (0.0, 1.0),
    },
    free_dims={"compositions": (1,), "node_mask": (1,), "edges": (1,), "edge_mask": (1,)},
)


@register_model(
    "habitability_fusion_base",
    config=HabitabilityFusionConfig(embed_dim=96, num_queries=8, num_layers=4, num_heads=6),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=entropy_loss,
)
@register_model(
    "habitability_fusion_small",
    config=HabitabilityFusionConfig(),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=entropy_loss,
)
class HabitabilityFusion(nn.Module):
    """Three encoders into tokens of one size, and a few queries that read them all."""

    property_centre: Tensor
    property_half_range: Tensor
    typical_counts: Tensor

    def __init__(self, config: HabitabilityFusionConfig) -> None:
        """Build the model that `config` describes."""
        super().__init__()
        self.config = config
        size = config.embed_dim
        centre, half_range = property_scaling()
        self.register_buffer("property_centre", centre)
        self.register_buffer("property_half_range", half_range)
        self.register_buffer("typical_counts", torch.tensor(TYPICAL_COUNTS))
        self.embed_latitude = nn.Sequential(nn.Linear(NUM_TIMES, size), nn.GELU(), nn.Linear(size, size))
        self.embed_patch = nn.Linear(config.patch_size + NUM_KNOWN, size)
        self.embed_compound = nn.Sequential(nn.Linear(len(ELEMENTS), size), nn.GELU(), nn.Linear(size, size))
        self.network = MessagePassing(size)
        self.latitude = nn.Parameter(0.02 * torch.randn(NUM_LATITUDES, size))
        self.patch = nn.Parameter(0.02 * torch.randn(NUM_WAVELENGTHS // config.patch_size, size))
        self.kind = nn.Parameter(0.02 * torch.randn(3, size))
        self.queries = nn.Parameter(0.02 * torch.randn(config.num_queries, size))
        self.blocks = nn.ModuleList(FusionBlock(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(size)
        self.head = nn.Linear(config.num_queries * size, 1)

    def forward(
        self,
        temperature_k: Tensor,
        depth: Tensor,
        noise: Tensor,
        properties: Tensor,
        compositions: Tensor,
        node_mask: Tensor,
        edges: Tensor,
        edge_mask: Tensor,
    ) -> Tensor:
        """The log odds that planets are habitable.

        Args:
            temperature_k: (B, 48, 24) in K.
            depth: (B, 208) transit depth. Give it in float32 at least, as for the spectral autoencoder.
            noise: (B, 1) standard deviation of its noise.
            properties: (B, 4), columns `PROPERTY_NAMES` in their units.
            compositions: (B, N, 6), atoms of each of `ELEMENTS`.
            node_mask: (B, N) bool, True for a compound.
            edges: (B, E, 2) int64, pairs of nodes that are joined.
            edge_mask: (B, E) bool, True for an edge.

        Returns:
            (B,); float32 for a model in a half type, the dtype of the weights otherwise.

        Raises:
            TypeError: a mask is not bool, or another argument of the wrong kind.
            ValueError: an argument has another shape.
        """
        _check_inputs(temperature_k, depth, noise, properties, compositions, node_mask, edges, edge_mask)
        batch = len(depth)
        dtype = self.queries.dtype
        climate = self._climate_tokens(temperature_k).to(dtype)
        spectrum = self._spectrum_tokens(depth, noise, properties)
        compounds = self.embed_compound(compositions.to(dtype) / self.typical_counts)
        compounds = self.network(compounds, edges, edge_mask)
        tokens = torch.cat((climate + self.kind[0], spectrum + self.kind[1], compounds + self.kind[2]), dim=1)
        always = node_mask.new_ones(batch, climate.shape[1] + spectrum.shape[1])
        token_mask = torch.cat((always, node_mask), dim=1)
        queries = self.queries.expand(batch, -1, -1)
        for block in self.blocks:
            queries = block(queries, tokens, token_mask)
        logit: Tensor = self.head(self.norm(queries).flatten(1)).squeeze(1)
        return logit.to(torch.promote_types(dtype, torch.float32))

    def _climate_tokens(self, temperature_k: Tensor) -> Tensor:
        """(B, latitudes, embed_dim)."""
        scaled = (temperature_k - _TEMPERATURE_CENTRE_K) / _TEMPERATURE_SCALE_K
        tokens: Tensor = self.embed_latitude(scaled.transpose(1, 2).to(self.queries.dtype)) + self.latitude
        return tokens

    def _spectrum_tokens(self, depth: Tensor, noise: Tensor, properties: Tensor) -> Tensor:
        """(B, patches, embed_dim)."""
        scaling = self.property_centre, self.property_half_range
        heights, known = spectrum_features(depth, noise, properties, scaling)
        patches = heights.view(len(depth), -1, self.config.patch_size)
        everywhere = known[:, None].expand(-1, patches.shape[1], -1)
        tokens: Tensor = self.embed_patch(torch.cat((patches, everywhere), dim=-1).to(self.queries.dtype)) + self.patch
        return tokens


def _check_inputs(
    temperature_k: Tensor,
    depth: Tensor,
    noise: Tensor,
    properties: Tensor,
    compositions: Tensor,
    node_mask: Tensor,
    edges: Tensor,
    edge_mask: Tensor,
) -> None:
    batch = len(depth)
    expected = {
        "temperature_k": (temperature_k, (batch, NUM_TIMES, NUM_LATITUDES)),
        "depth": (depth, (batch, NUM_WAVELENGTHS)),
        "noise": (noise, (batch, 1)),
        "properties": (properties, (batch, len(PROPERTY_NAMES))),
        "compositions": (compositions, (batch, *node_mask.shape[1:2], len(ELEMENTS))),
    }
    for name, (tensor, shape) in expected.items():
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating point, got {tensor.dtype}")
        if tensor.shape != shape:
            raise ValueError(f"{name} must be {shape}, got {tuple(tensor.shape)}")
    for name, mask, like in (("node_mask", node_mask, compositions), ("edge_mask", edge_mask, edges)):
        if mask.dtype != torch.bool:
            raise TypeError(f"{name} must be bool, got {mask.dtype}")
        if mask.shape != like.shape[:2] or len(mask) != batch:
            raise ValueError(f"{name} must be {(batch, *like.shape[1:2])}, got {tuple(mask.shape)}")
    if edges.dtype != torch.int64 or edges.dim() != 3 or edges.shape[2] != 2:
        raise ValueError(f"edges must be (B, E, 2) int64, got {tuple(edges.shape)} {edges.dtype}")
    require_nodes("edges", edges, num_nodes=compositions.shape[1])
