"""An autoencoder of transmission spectra whose latent code begins with the abundances of five gases.

The encoder cuts a spectrum into patches and attends over them; the decoder makes the spectrum without noise from the
abundances, a few free latent numbers and the planet's known properties.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from astrobio.attention import AttentionConfig
from astrobio.data.gases import GASES
from astrobio.data.spectra_dataset import LOG10_ABUNDANCE_RANGES, PROPERTY_RANGES, make_spectra_dataset, measure
from astrobio.data.transmission import NUM_WAVELENGTHS, PROPERTY_NAMES, height_from_depth
from astrobio.models.spectrum_features import (
    HEIGHT_CENTRE,
    HEIGHT_SCALE,
    NUM_KNOWN,
    property_scaling,
    spectrum_features,
)
from astrobio.models.transformer_block import TransformerBlock
from astrobio.registry import ModelCard, register_model


@dataclass(frozen=True)
class SpectralAutoencoderConfig:
    """Settings of `SpectralAutoencoder`.

    Attributes:
        embed_dim: size of a patch's token.
        num_layers: transformer blocks of the encoder.
        num_heads: query heads per block.
        patch_size: wavelengths per patch, a divisor of their number.
        free_latents: latent numbers beside the abundances.
        decoder_dim: hidden size of the decoder.

    Raises:
        ValueError: a setting is out of range.
    """

    embed_dim: int = 48
    num_layers: int = 2
    num_heads: int = 4
    patch_size: int = 8
    free_latents: int = 3
    decoder_dim: int = 96

    def __post_init__(self) -> None:
        """Refuse settings that describe no model."""
        for name, smallest in (("num_layers", 1), ("free_latents", 0), ("decoder_dim", 1), ("patch_size", 1)):
            if getattr(self, name) < smallest:
                raise ValueError(f"{name} must be at least {smallest}, got {getattr(self, name)}")
        if NUM_WAVELENGTHS % self.patch_size:
            raise ValueError(f"patch_size must divide the {NUM_WAVELENGTHS} wavelengths, got {self.patch_size}")
        self.attention()

    def attention(self) -> AttentionConfig:
        """The settings of the attention in every block."""
        return AttentionConfig(embed_dim=self.embed_dim, num_heads=self.num_heads)

    @property
    def num_patches(self) -> int:
        """Tokens of a spectrum."""
        return NUM_WAVELENGTHS // self.patch_size


class SpectralOutput(NamedTuple):
    """What the model says of spectra.

    Attributes:
        log10_abundance: (B, 5), decimal logarithm of the mixing ratio of each of `GASES`.
        height: (B, wavelengths), the spectrum without noise as effective heights in N2 scale heights, see
            `astrobio.data.transmission.height_from_depth`.
    """

    log10_abundance: Tensor
    height: Tensor


def sample_inputs(batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Keyword arguments of `SpectralAutoencoder.forward` for random planets, in float32."""
    dataset = make_spectra_dataset(batch_size, int(torch.randint(2**31, (), generator=generator)))
    measured = measure(dataset.depth, generator)
    return {"depth": measured.depth, "noise": measured.noise, "properties": dataset.planets.properties.float()}


def reconstruction_loss(output: SpectralOutput, inputs: dict[str, Tensor]) -> Tensor:
    """Mean squared difference from the measured heights, in units of the spread of heights.

    It can be computed for spectra whose abundances nobody knows.
    """
    height, _ = height_from_depth(inputs["depth"], inputs["properties"])
    return ((output.height - height) / HEIGHT_SCALE).square().mean()


def spectral_loss(output: SpectralOutput, log10_abundance: Tensor, height: Tensor) -> dict[str, Tensor]:
    """What training minimises, "loss", and its two parts.

    Args:
        output: what the model says.
        log10_abundance: (B, 5), the truth.
        height: (B, wavelengths), heights without noise.

    Returns:
        "abundance": mean absolute error of the abundances in dex; "spectrum": mean squared error of the heights in
        units of their spread; "loss": their sum. An absolute error is least at the median, so that a gas that leaves
        no trace does not pull the others along.
    """
    abundance = (output.log10_abundance - log10_abundance).abs().mean()
    spectrum = ((output.height - height) / HEIGHT_SCALE).square().mean()
    return {"loss": abundance + spectrum, "abundance": abundance, "spectrum": spectrum}


_CARD = ModelCard(
    task="Abundances of five gases, and the spectrum without noise, from a rocky planet's transmission spectrum",
    inputs={
        "depth": f"(B, {NUM_WAVELENGTHS}), transit depth in bins evenly spaced in the logarithm of the wavelength, "
        "0.5 to 16 micrometres",
        "noise": "(B, 1), standard deviation of the noise of a bin",
        "properties": f"(B, {len(PROPERTY_NAMES)}), columns: {', '.join(PROPERTY_NAMES)}",
    },
    outputs={
        "log10_abundance": f"(B, {len(GASES)}), decimal logarithm of the volume mixing ratio of {', '.join(GASES)}",
        "height": f"(B, {NUM_WAVELENGTHS}), effective height of the atmosphere",
    },
    units={
        "depth": "1",
        "noise": "1",
        "radius_earth": "6371 km",
        "gravity_m_s2": "m/s2",
        "temperature_k": "K",
        "star_radius_sun": "695700 km",
        "log10_abundance": "dex",
        "height": "scale heights of N2",
    },
    license="Apache-2.0",
    limits=(
        "It learned from isothermal atmospheres of N2 over a surface at 1 bar, with a grey cloud deck and bands of "
        "Gaussian shape; it must not be used to retrieve abundances from observations.",
        "A gas without a visible band gets the middle of its sampling range.",
        "The noise is white and its level known; a real instrument has neither.",
    ),
    references=(
        "de Wit & Seager 2013, Constraining exoplanet mass from transmission spectroscopy, Science 342",
        "Heng & Kitzmann 2017, The theory of transmission spectra revisited, MNRAS 470",
        "Vaswani et al. 2017, Attention is all you need",
    ),
    columns={"properties": PROPERTY_NAMES},
    ranges={**PROPERTY_RANGES, "depth": (0.0, 1.0), "noise": (0.0, 1.0)},
)


@register_model(
    "spectral_autoencoder_base",
    config=SpectralAutoencoderConfig(embed_dim=96, num_layers=4, num_heads=6, decoder_dim=256, free_latents=6),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=reconstruction_loss,
)
@register_model(
    "spectral_autoencoder_small",
    config=SpectralAutoencoderConfig(),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=reconstruction_loss,
)
class SpectralAutoencoder(nn.Module):
    """Encodes a spectrum into abundances and free latents, and decodes them into a spectrum without noise."""

    property_centre: Tensor
    property_half_range: Tensor
    abundance_centre: Tensor
    abundance_half_range: Tensor

    def __init__(self, config: SpectralAutoencoderConfig) -> None:
        """Build the model that `config` describes."""
        super().__init__()
        self.config = config
        centre, half_range = property_scaling()
        self.register_buffer("property_centre", centre)
        self.register_buffer("property_half_range", half_range)
        low, high = torch.tensor([LOG10_ABUNDANCE_RANGES[gas] for gas in GASES]).unbind(dim=1)
        self.register_buffer("abundance_centre", (low + high) / 2)
        self.register_buffer("abundance_half_range", (high - low) / 2)
        self.embed = nn.Linear(config.patch_size + NUM_KNOWN, config.embed_dim)
        self.position = nn.Parameter(0.02 * torch.randn(config.num_patches, config.embed_dim))
        self.blocks = nn.ModuleList(
            TransformerBlock(config.attention(), feed_forward_dim=2 * config.embed_dim)
            for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(config.embed_dim)
        # Which patch a feature comes from matters, so patches are joined and not averaged.
        self.narrow = nn.Linear(config.embed_dim, 8)
        self.to_latent = nn.Sequential(
            nn.Linear(8 * config.num_patches + NUM_KNOWN, config.decoder_dim),
            nn.GELU(),
            nn.Linear(config.decoder_dim, len(GASES) + config.free_latents),
        )
        self.decoder = nn.Sequential(
            nn.Linear(len(GASES) + config.free_latents + NUM_KNOWN - 1, config.decoder_dim),
            nn.GELU(),
            nn.Linear(config.decoder_dim, config.decoder_dim),
            nn.GELU(),
            nn.Linear(config.decoder_dim, NUM_WAVELENGTHS),
        )

    def forward(self, depth: Tensor, noise: Tensor, properties: Tensor) -> SpectralOutput:
        """Abundances and the spectrum without noise.

        Args:
            depth: (B, 208) transit depth, floating point. Give it in float32 at least: a half type cannot hold the
                differences of a spectrum.
            noise: (B, 1) standard deviation of its noise.
            properties: (B, 4), columns `PROPERTY_NAMES` in their units.

        Returns:
            Both parts in float32 for a model in a half type, in the dtype of the weights otherwise.

        Raises:
            TypeError: an argument is not floating point.
            ValueError: an argument has another shape.
        """
        _check_inputs(depth, noise, properties)
        dtype = self.embed.weight.dtype
        scaling = self.property_centre, self.property_half_range
        scaled, known = (each.to(dtype) for each in spectrum_features(depth, noise, properties, scaling))
        latent = self._latent(scaled, known)
        spectrum = self.decoder(torch.cat((latent, known[:, :-1]), dim=1))
        code = latent[:, : len(GASES)].to(torch.promote_types(dtype, torch.float32))
        return SpectralOutput(
            log10_abundance=self.abundance_centre + self.abundance_half_range * code,
            height=HEIGHT_CENTRE + HEIGHT_SCALE * spectrum.to(code.dtype),
        )

    def _latent(self, scaled_height: Tensor, known: Tensor) -> Tensor:
        """(B, gases + free_latents) from scaled heights (B, wavelengths) and what is known of the planet (B, 5)."""
        patches = scaled_height.view(len(known), self.config.num_patches, self.config.patch_size)
        everywhere = known[:, None].expand(-1, self.config.num_patches, -1)
        tokens = self.embed(torch.cat((patches, everywhere), dim=-1)) + self.position
        for block in self.blocks:
            tokens = block(tokens)
        narrow = self.narrow(self.norm(tokens)).flatten(1)
        latent: Tensor = self.to_latent(torch.cat((narrow, known), dim=1))
        return latent


def _check_inputs(depth: Tensor, noise: Tensor, properties: Tensor) -> None:
    shapes = {"depth": NUM_WAVELENGTHS, "noise": 1, "properties": len(PROPERTY_NAMES)}
    for (name, columns), tensor in zip(shapes.items(), (depth, noise, properties), strict=True):
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating point, got {tensor.dtype}")
        if tensor.dim() != 2 or tensor.shape != (len(depth), columns):
            raise ValueError(f"{name} must be (B, {columns}) with the B of depth, got {tuple(tensor.shape)}")
