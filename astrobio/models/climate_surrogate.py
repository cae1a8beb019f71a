"""A transformer over latitude that predicts the seasonal cycle of the energy-balance model from a planet's parameters.

One token per latitude cell carries the insolation cycle of that cell and the planet's parameters; attention along the
meridian stands in for the heat transport that couples the cells.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from astrobio.attention import AttentionConfig
from astrobio.data.climate_dataset import LOG_UNIFORM_PARAMETERS, SAMPLING_RANGES, sample_planets
from astrobio.data.energy_balance import (
    ICE_ALBEDO,
    INFRARED_SLOPE_W_M2_K,
    NUM_LATITUDES,
    NUM_TIMES,
    OPEN_ALBEDO,
    annual_heat_budget,
    equilibrium_temperature,
)
from astrobio.data.insolation import cell_mean_insolation
from astrobio.data.planets import (
    PARAMETER_NAMES,
    PARAMETER_UNITS,
    SCALED_PARAMETERS,
    SOLAR_CONSTANT_W_M2,
    PlanetParameters,
)
from astrobio.models.transformer_block import TransformerBlock
from astrobio.registry import ModelCard, register_model


@dataclass(frozen=True)
class ClimateSurrogateConfig:
    """Settings of `ClimateSurrogate`.

    Attributes:
        embed_dim: size of a latitude token.
        num_layers: transformer blocks.
        num_heads: query heads per block.
        num_kv_heads: key/value heads per block, a divisor of `num_heads`.
        feed_forward_dim: hidden size of a block's feed-forward part.
        rotary_base: base of the rotary embedding of the latitude index. The largest distance is num_latitudes - 1,
            so a base near it gives every pair of dimensions an angle that matters.
        dropout_p: probability with which an attention weight is dropped, in training only.
        num_times: time steps per year in the output.
        num_latitudes: latitude cells in the output.
        backend: attention backend, "auto" or a name.

    Raises:
        ValueError: a setting is out of range.
    """

    embed_dim: int = 64
    num_layers: int = 3
    num_heads: int = 4
    num_kv_heads: int = 2
    feed_forward_dim: int = 128
    rotary_base: float = 100.0
    dropout_p: float = 0.0
    num_times: int = NUM_TIMES
    num_latitudes: int = NUM_LATITUDES
    backend: str = "auto"

    def __post_init__(self) -> None:
        """Refuse settings that describe no model."""
        for name, smallest in (("num_layers", 1), ("feed_forward_dim", 1), ("num_times", 8), ("num_latitudes", 2)):
            if getattr(self, name) < smallest:
                raise ValueError(f"{name} must be at least {smallest}, got {getattr(self, name)}")
        self.attention()

    def attention(self) -> AttentionConfig:
        """The settings of the attention in every block."""
        return AttentionConfig(
            embed_dim=self.embed_dim,
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            rotary_base=self.rotary_base,
            dropout_p=self.dropout_p,
            backend=self.backend,
        )


def sample_inputs(batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Keyword arguments of `ClimateSurrogate.forward` for random planets, in float32."""
    return {"planet_parameters": sample_planets(batch_size, generator).to_tensor().float()}


def energy_balance_loss(temperature_k: Tensor, planet_parameters: Tensor) -> Tensor:
    """Mean squared violation of the annual heat budget by a predicted cycle.

    The budget is summed from the south pole to each cell edge: over a year, the cap on one side of an edge must lose
    to space, and across the edge, what it absorbs. The last sum is the global energy balance. Divided by B * scale,
    with the infrared slope B and the temperature scale of the surrogate, it is comparable to a squared error.

    Args:
        temperature_k: (B, time, latitude) in K.
        planet_parameters: (B, 7), columns `PARAMETER_NAMES`.

    Returns:
        A scalar; zero for a cycle of the energy-balance model, up to its convergence criterion.
    """
    planets = PlanetParameters.from_tensor(planet_parameters.to(temperature_k.dtype))
    budget = annual_heat_budget(temperature_k, planets)  # (B, latitude), W/m2
    cap_budget = budget.cumsum(dim=-1) / budget.shape[-1]  # W per m2 of the planet's surface
    _, scale = _temperature_normalisation()
    return (cap_budget / (INFRARED_SLOPE_W_M2_K * scale)).square().mean()


def climate_surrogate_loss(
    temperature_k: Tensor, target_k: Tensor, planet_parameters: Tensor, *, energy_weight: float = 0.1
) -> Tensor:
    """Squared error against the simulated cycle plus `energy_weight` times `energy_balance_loss`.

    Args:
        temperature_k: predicted cycle, (B, time, latitude) in K.
        target_k: simulated cycle, of the same shape.
        planet_parameters: (B, 7), columns `PARAMETER_NAMES`.
        energy_weight: weight of the physics term; 0 leaves it out.

    Returns:
        A scalar, in units of the squared temperature scale of the surrogate.

    Raises:
        ValueError: prediction and target differ in shape.
    """
    if temperature_k.shape != target_k.shape:
        raise ValueError(f"prediction {tuple(temperature_k.shape)} and target {tuple(target_k.shape)} differ in shape")
    _, scale = _temperature_normalisation()
    data_loss = ((temperature_k - target_k) / scale).square().mean()
    if energy_weight == 0.0:
        return data_loss
    return data_loss + energy_weight * energy_balance_loss(temperature_k, planet_parameters)


def _temperature_normalisation() -> tuple[float, float]:
    """Centre and scale in K: those of a uniform distribution between the coldest and warmest planets sampled."""
    (dim, bright), (low_co2, high_co2) = SAMPLING_RANGES["instellation"], SAMPLING_RANGES["co2_ppm"]
    on_cpu = partial(
        torch.tensor, dtype=torch.float64, device="cpu"
    )  # not where the model is built: meta has no values
    cold = equilibrium_temperature(on_cpu(dim), on_cpu(low_co2), ICE_ALBEDO)
    warm = equilibrium_temperature(on_cpu(bright), on_cpu(high_co2), OPEN_ALBEDO)
    return float(warm + cold) / 2, float(warm - cold) / math.sqrt(12)


@register_model(
    "climate_surrogate_small",
    config=ClimateSurrogateConfig(),
    card=ModelCard(
        task="Seasonal cycle of surface temperature by latitude from a planet's orbital and atmospheric parameters",
        inputs={"planet_parameters": f"(B, {len(PARAMETER_NAMES)}), columns: {', '.join(PARAMETER_NAMES)}"},
        outputs={"temperature": "(B, 48 times from the northern vernal equinox, 24 latitudes from south to north)"},
        units={
            **PARAMETER_UNITS,
            "temperature": "K",
        },
        license="Apache-2.0",
        limits=(
            "It imitates an energy-balance model without clouds, continents or a water cycle, not observations.",
            "Outside the sampling ranges of astrobio.data.climate_dataset its output is extrapolation, and values "
            "are not checked.",
            "Near the fold between warm and frozen climates a small error in a parameter changes the climate.",
            "It was fitted to climates reached from a warm start; frozen states of bistable planets are not predicted.",
        ),
        references=(
            "North, Cahalan & Coakley 1981, Energy balance climate models, Reviews of Geophysics 19",
            "Berger 1978, Long-term variations of daily insolation, Journal of the Atmospheric Sciences 35",
            "Myhre et al. 1998, New estimates of radiative forcing, Geophysical Research Letters 25",
            "Vaswani et al. 2017, Attention is all you need",
            "Su et al. 2021, RoFormer",
            "Ainslie et al. 2023, GQA",
        ),
        columns={"planet_parameters": PARAMETER_NAMES},
        ranges=SAMPLING_RANGES,
    ),
    sample_inputs=sample_inputs,
    loss=lambda output, inputs: energy_balance_loss(output, inputs["planet_parameters"]),
)
class ClimateSurrogate(nn.Module):
    """Predicts the seasonal temperature cycle of a planet at every latitude.

    Normalisation constants are buffers computed from the sampling ranges, so a state dict carries them.
    """

    parameter_centre: Tensor
    parameter_half_range: Tensor
    insolation_scale: Tensor
    temperature_centre: Tensor
    temperature_scale: Tensor

    def __init__(self, config: ClimateSurrogateConfig) -> None:
        """Build the model that `config` describes."""
        super().__init__()
        self.config = config
        num_features = config.num_times + len(SCALED_PARAMETERS) + 3  # and perihelion sine, cosine; sine of latitude
        self.embed = nn.Linear(num_features, config.embed_dim)
        self.blocks = nn.ModuleList(
            TransformerBlock(config.attention(), feed_forward_dim=config.feed_forward_dim)
            for _ in range(config.num_layers)
        )
        self.output_norm = nn.LayerNorm(config.embed_dim)
        self.head = nn.Linear(config.embed_dim, config.num_times)
        low, high = _transformed_ranges()
        self.register_buffer("parameter_centre", (low + high) / 2)
        self.register_buffer("parameter_half_range", (high - low) / 2)
        mean_instellation = sum(SAMPLING_RANGES["instellation"]) / 2
        self.register_buffer("insolation_scale", torch.tensor(SOLAR_CONSTANT_W_M2 / 4 * mean_instellation))
        centre, scale = _temperature_normalisation()
        self.register_buffer("temperature_centre", torch.tensor(centre))
        self.register_buffer("temperature_scale", torch.tensor(scale))

    def forward(self, planet_parameters: Tensor) -> Tensor:
        """The temperature cycle of every planet.

        Args:
            planet_parameters: (B, 7), columns `PARAMETER_NAMES` in their physical units. Values are not checked, to
                keep the forward free of device synchronisation; see `PlanetParameters.require_physical`.

        Returns:
            (B, time, latitude) in K; float32 for a model in a half type, the dtype of the weights otherwise.

        Raises:
            TypeError: the parameters are not floating point.
            ValueError: the parameters have another shape.
        """
        tokens: Tensor = self.embed(self._features(planet_parameters).to(self.embed.weight.dtype))
        for block in self.blocks:
            tokens = block(tokens)
        anomaly: Tensor = self.head(self.output_norm(tokens)).transpose(1, 2)  # (B, time, latitude)
        # A half type resolves 288 K to 0.25 K (float16) or 2 K (bfloat16).
        anomaly = anomaly.to(torch.promote_types(anomaly.dtype, torch.float32))
        return self.temperature_centre + self.temperature_scale * anomaly

    def _features(self, planet_parameters: Tensor) -> Tensor:
        """What a latitude token is embedded from: (B, latitude, features), of order 1."""
        table = planet_parameters.to(torch.promote_types(planet_parameters.dtype, torch.float32))
        planets = PlanetParameters.from_tensor(table)
        num_times, num_latitudes = self.config.num_times, self.config.num_latitudes
        insolation = cell_mean_insolation(planets, num_times=num_times, num_latitudes=num_latitudes)
        columns = [_transformed(name, getattr(planets, name)) for name in SCALED_PARAMETERS]
        scaled = (torch.stack(columns, dim=1) - self.parameter_centre) / self.parameter_half_range
        perihelion = torch.deg2rad(planets.perihelion_longitude_deg)
        per_planet = torch.cat((scaled, perihelion.sin()[:, None], perihelion.cos()[:, None]), dim=1)
        sin_latitude = (torch.arange(num_latitudes, dtype=table.dtype, device=table.device) + 0.5) * (
            2.0 / num_latitudes
        ) - 1.0
        return torch.cat(
            (
                (insolation / self.insolation_scale - 1.0).transpose(1, 2),
                per_planet[:, None, :].expand(-1, num_latitudes, -1),
                sin_latitude[None, :, None].expand(len(table), -1, -1),
            ),
            dim=-1,
        )


def _transformed(name: str, values: Tensor) -> Tensor:
    return values.log() if name in LOG_UNIFORM_PARAMETERS else values


def _transformed_ranges() -> tuple[Tensor, Tensor]:
    low, high = torch.tensor([SAMPLING_RANGES[name] for name in SCALED_PARAMETERS]).unbind(dim=1)
    names = range(len(SCALED_PARAMETERS))
    return (
        torch.stack([_transformed(SCALED_PARAMETERS[i], low[i]) for i in names]),
        torch.stack([_transformed(SCALED_PARAMETERS[i], high[i]) for i in names]),
    )
