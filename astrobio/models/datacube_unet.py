"""A U-Net that predicts the climate of the next season from that of the present one.

The cube of three months goes in beside the continents and the insolation of those months and the next three; what comes
out is added to the present climate, so that an untrained network is near persistence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from astrobio.data.cubes import CUBE_SAMPLING_RANGES, CUBE_VARIABLES, MONTHS_PER_SEASON, NUM_MONTHS
from astrobio.data.planets import PARAMETER_NAMES, PARAMETER_UNITS
from astrobio.models.cube_features import (
    CUBE_CARD_SHAPE,
    CUBE_SHAPE,
    PLANET_FEATURES,
    CubeScaling,
    SeasonFeatures,
    check_seasons,
    sample_season,
)
from astrobio.models.unet3d import UNet3d, UNet3dConfig
from astrobio.registry import ModelCard, register_model

_DEPTH = PARAMETER_NAMES.index("mixed_layer_depth_m")
_MIDDLE_DEPTH_M = sum(CUBE_SAMPLING_RANGES["mixed_layer_depth_m"]) / 2


@dataclass(frozen=True)
class DatacubeUNetConfig(UNet3dConfig):
    """Settings of `DatacubeUNet`.

    Attributes:
        channels: features at every resolution, from the finest; this and the others as in `UNet3dConfig`.
        condition_dim: size of the embedding of planet and season.

    Raises:
        ValueError: a setting is out of range.
    """

    channels: tuple[int, ...] = (8, 16)
    condition_dim: int = 16


def sample_inputs(batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Keyword arguments of `DatacubeUNet.forward` for a few simulated planets."""
    planets, cube, first_month = sample_season(batch_size, generator)
    return {
        "cube": cube,
        "land": planets.land,
        "planet_parameters": planets.parameters.float(),
        "first_month": first_month,
    }


def cube_loss(prediction: Tensor, target: Tensor, scaling: CubeScaling) -> Tensor:
    """Mean squared difference of two cubes, each variable and level in units of its scale.

    Args:
        prediction: (B, variable, month, level, latitude, longitude), in physical units.
        target: of the same shape.
        scaling: that of the model.

    Returns:
        A scalar.

    Raises:
        ValueError: prediction and target differ in shape.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape")
    return (scaling.to_unit(prediction) - scaling.to_unit(target)).square().mean()


_CARD = ModelCard(
    task="Air temperature, humidity and infrared flux of the next three months from those of the present three",
    inputs={
        "cube": CUBE_CARD_SHAPE,
        "land": "(B, 12 latitudes, 24 longitudes), bool, True on land",
        "planet_parameters": f"(B, {len(PARAMETER_NAMES)}), columns: {', '.join(PARAMETER_NAMES)}",
        "first_month": "(B,), int64, the first of the present months, 0 begins at the northern vernal equinox",
    },
    outputs={"next_cube": CUBE_CARD_SHAPE},
    units={
        "air_temperature_k": "K",
        "specific_humidity": "kg/kg",
        "net_infrared_w_m2": "W/m2, upward",
        "first_month": "twelfth of a year",
        **PARAMETER_UNITS,
    },
    license="Apache-2.0",
    limits=(
        "It imitates an energy-balance model with grey columns of air, without clouds, winds or weather.",
        "Outside the sampling ranges of astrobio.data.cubes its output is extrapolation, and values are not checked.",
        "It was fitted to repeating cycles reached from a warm start; a climate on its way elsewhere is not predicted.",
        "Turning a planet in longitude turns the prediction exactly only by multiples of the coarsest cell.",
    ),
    references=(
        "North, Mengel & Short 1983, Simple energy balance model resolving the seasons and the continents, "
        "Journal of Geophysical Research 88",
        "Pierrehumbert 2010, Principles of Planetary Climate",
        "Manabe & Wetherald 1967, Thermal equilibrium of the atmosphere with a given distribution of relative "
        "humidity, Journal of the Atmospheric Sciences 24",
        "Ronneberger et al. 2015, U-Net",
        "Cicek et al. 2016, 3D U-Net",
        "Ho et al. 2019, Axial attention in multidimensional transformers",
    ),
    columns={"planet_parameters": PARAMETER_NAMES},
    ranges={**CUBE_SAMPLING_RANGES, "first_month": (0, NUM_MONTHS - 1)},
)


def _sample_loss(output: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    # A sample of inputs has no next season; the present one stands in for it.
    return cube_loss(output, inputs["cube"], CubeScaling().to(output.device))


@register_model(
    "datacube_unet_base",
    config=DatacubeUNetConfig(channels=(16, 32, 64), condition_dim=64, num_heads=4),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=_sample_loss,
)
@register_model(
    "datacube_unet_small", config=DatacubeUNetConfig(), card=_CARD, sample_inputs=sample_inputs, loss=_sample_loss
)
class DatacubeUNet(nn.Module):
    """Predicts the next season of a planet from the present one."""

    def __init__(self, config: DatacubeUNetConfig) -> None:
        """Build the model that `config` describes."""
        super().__init__()
        self.config = config
        self.scaling = CubeScaling()
        self.features = SeasonFeatures(num_months=2 * MONTHS_PER_SEASON)
        self.condition = nn.Sequential(
            nn.Linear(PLANET_FEATURES, config.condition_dim),
            nn.SiLU(),
            nn.Linear(config.condition_dim, config.condition_dim),
            nn.SiLU(),
        )
        channels = CUBE_SHAPE[0] * CUBE_SHAPE[1]
        self.network = UNet3d(
            config,
            in_channels=channels + self.features.num_fields + 1 + 2 * self.features.num_months,
            out_channels=channels,
        )

    def forward(self, cube: Tensor, land: Tensor, planet_parameters: Tensor, first_month: Tensor) -> Tensor:
        """The next season.

        Args:
            cube: (B, variable, 3 months, level, latitude, longitude), in the units of `CUBE_VARIABLES`.
            land: (B, latitude, longitude), bool, True on land.
            planet_parameters: (B, 7), columns `PARAMETER_NAMES` in their physical units; values are not checked.
            first_month: (B,), int64, the first of the present months, counted from the northern vernal equinox.

        Returns:
            The same shape and units as `cube`, three months later; float32 for a model in a half type.

        Raises:
            TypeError: the months are not int64 or the land is not bool.
            ValueError: a shape does not fit.
        """
        check_seasons(cube, planet_parameters, first_month, num_variables=len(CUBE_VARIABLES))
        if land.dtype != torch.bool:
            raise TypeError(f"land must be bool, True on land, got {land.dtype}")
        if land.shape != (len(cube), *cube.shape[-2:]):
            raise ValueError(f"land must be (B, latitude, longitude) like the cubes, got {tuple(land.shape)}")
        present = self.scaling.to_unit(cube)
        fields = self.features.fields(planet_parameters, first_month)
        fields = torch.cat((fields, self._heating(fields, land, planet_parameters)), dim=1)
        dtype = self.network.lift.weight.dtype
        condition = self.condition(self.features.vector(planet_parameters, first_month).to(dtype))
        stacked = torch.cat((present.flatten(1, 2), fields), dim=1).to(dtype)
        change: Tensor = self.network(stacked, condition).view(cube.shape)
        return self.scaling.to_physical(present + change)

    def _heating(self, fields: Tensor, land: Tensor, planet_parameters: Tensor) -> Tensor:
        """Where land is, and how fast the insolation of each month would heat land and sea, which differ in capacity.

        (B, 1 + 2 * months, level, latitude, longitude); the sea's in units of a mixed layer in the middle of its range.
        """
        on_land = land[:, None, None].expand(-1, 1, fields.shape[2], -1, -1).to(fields.dtype)
        depth = planet_parameters[:, _DEPTH].to(fields.dtype)[:, None, None, None, None]
        insolation = fields[:, : self.features.num_months]
        return torch.cat((on_land, insolation * on_land, insolation * (1 - on_land) * (_MIDDLE_DEPTH_M / depth)), dim=1)
