"""A U-Net over level, latitude and longitude of a planet (Ronneberger et al. 2015; in 3-D, Cicek et al. 2016).

Longitude is periodic. Beyond a pole lies the row next to it half a turn away, so that a meridian goes on over the
pole. Nothing depends on where the meridians are counted from: rolling the input in longitude by a multiple of
`UNet3dConfig.stride` cells rolls the output.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrobio.attention import AttentionConfig, AxialAttention3d


@dataclass(frozen=True)
class UNet3dConfig:
    """Settings of `UNet3d`, and the base of the settings of models with one inside.

    Attributes:
        channels: features at every resolution, from the finest; each further one halves levels, latitudes and
            longitudes.
        condition_dim: size of the vector that scales and shifts the features of every block.
        num_heads: heads of the axial attention, which acts at all resolutions but the finest; each head has an even
            size, which the rotary embedding needs.
        rotary_base: base of the rotary embedding of level and latitude. No axis has more than a dozen coarse cells,
            so a base near that gives every pair of dimensions an angle that matters.
        backend: attention backend, "auto" or a name.

    Raises:
        ValueError: a setting is out of range.
    """

    channels: tuple[int, ...] = (16, 32)
    condition_dim: int = 32
    num_heads: int = 2
    rotary_base: float = 30.0
    backend: str = "auto"

    def __post_init__(self) -> None:
        """Refuse settings that describe no network."""
        if len(self.channels) < 2:
            raise ValueError(f"channels must name at least two resolutions, got {self.channels}")
        for width in self.channels:
            if width < 1:
                raise ValueError(f"channels must be at least 1, got {self.channels}")
        if self.condition_dim < 1:
            raise ValueError(f"condition_dim must be at least 1, got {self.condition_dim}")
        for width in self.channels[1:]:
            self.attention(width)

    def attention(self, width: int) -> AttentionConfig:
        """The settings of the attention along each axis at a resolution of `width` features."""
        return AttentionConfig(
            embed_dim=width, num_heads=self.num_heads, rotary_base=self.rotary_base, backend=self.backend
        )

    @property
    def stride(self) -> int:
        """Fine cells along a side of the coarsest ones; levels, latitudes and longitudes must be multiples of it."""
        return int(2 ** (len(self.channels) - 1))


def pad_around_planet(field: Tensor) -> Tensor:
    """One more cell on every side of (B, C, level, latitude, longitude).

    Longitude goes on around the planet, latitude over the pole, and the lowest and highest level are repeated.

    Raises:
        ValueError: the number of longitudes is odd, so that no cell is half a turn away.
    """
    num_longitudes = field.shape[-1]
    if num_longitudes % 2:
        raise ValueError(f"the number of longitudes must be even to go on over the poles, got {num_longitudes}")
    south, north = (row.roll(num_longitudes // 2, dims=-1) for row in (field[..., :1, :], field[..., -1:, :]))
    field = torch.cat((south, field, north), dim=-2)
    field = torch.cat((field[..., -1:], field, field[..., :1]), dim=-1)
    return torch.cat((field[:, :, :1], field, field[:, :, -1:]), dim=2)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of every cell (as in ConvNeXt, Liu et al. 2022).

    Statistics over the planet would take away what its climate is: how warm it is as a whole.
    """

    def __init__(self, channels: int) -> None:
        """Build the normalisation, which starts without scale and shift."""
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, field: Tensor) -> Tensor:
        """(B, channels, level, latitude, longitude) to the same shape."""
        output: Tensor = self.norm(field.movedim(1, -1)).movedim(-1, 1)
        return output


class PlanetConv3d(nn.Module):
    """A 3 x 3 x 3 convolution that knows the planet's topology; the shape stays."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Build the convolution."""
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, kernel_size=3)

    def forward(self, field: Tensor) -> Tensor:
        """(B, in_channels, level, latitude, longitude) to (B, out_channels, ...)."""
        output: Tensor = self.conv(pad_around_planet(field))
        return output


class ResidualBlock(nn.Module):
    """Two convolutions, each after a normalisation, added to the input; the condition scales and shifts in between."""

    def __init__(self, in_channels: int, out_channels: int, condition_dim: int) -> None:
        """Build the block."""
        super().__init__()
        self.first_norm = ChannelNorm(in_channels)
        self.first = PlanetConv3d(in_channels, out_channels)
        self.modulation = nn.Linear(condition_dim, 2 * out_channels)
        self.second_norm = ChannelNorm(out_channels)
        self.second = PlanetConv3d(out_channels, out_channels)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv3d(in_channels, out_channels, 1)

    def forward(self, field: Tensor, condition: Tensor) -> Tensor:
        """(B, in_channels, level, latitude, longitude) and (B, condition_dim) to (B, out_channels, ...)."""
        hidden = self.first(F.silu(self.first_norm(field)))
        scale, shift = self.modulation(condition)[:, :, None, None, None].chunk(2, dim=1)
        hidden = self.second(F.silu(self.second_norm(hidden) * (1 + scale) + shift))
        output: Tensor = self.skip(field) + hidden
        return output


class PlanetAttention(nn.Module):
    """Axial attention along levels, meridians and circles of latitude, of normalised features, added to the input.

    Longitudes have no positions, so that no meridian is the first.
    """

    def __init__(self, config: AttentionConfig) -> None:
        """Build one attention layer per axis."""
        super().__init__()
        self.norm = ChannelNorm(config.embed_dim)
        self.axial = AxialAttention3d(config, axes_without_positions=("width",))

    def forward(self, field: Tensor) -> Tensor:
        """(B, C, level, latitude, longitude) to the same shape."""
        normed = self.norm(field)
        output: Tensor = field + (self.axial(normed) - normed)
        return output


class UNet3d(nn.Module):
    """Features at several resolutions: down by averages of 2 x 2 x 2 cells, up by repeating them, joined by skips."""

    def __init__(self, config: UNet3dConfig, *, in_channels: int, out_channels: int) -> None:
        """Build the network that `config` describes."""
        super().__init__()
        self.config = config
        widths, condition_dim = config.channels, config.condition_dim
        self.lift = nn.Conv3d(in_channels, widths[0], kernel_size=1)
        self.down = nn.ModuleList(
            ResidualBlock(fine, width, condition_dim)
            for fine, width in zip((widths[0], *widths[:-1]), widths, strict=True)
        )
        self.attention = nn.ModuleList(PlanetAttention(config.attention(width)) for width in widths[1:])
        self.up = nn.ModuleList(
            ResidualBlock(coarse + width, width, condition_dim)
            for coarse, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.output_norm = ChannelNorm(widths[0])
        self.head = nn.Conv3d(widths[0], out_channels, kernel_size=1)

    def forward(self, field: Tensor, condition: Tensor) -> Tensor:
        """Transform a batch of fields.

        Args:
            field: (B, in_channels, level, latitude, longitude).
            condition: (B, condition_dim).

        Returns:
            (B, out_channels, level, latitude, longitude).

        Raises:
            ValueError: levels, latitudes or longitudes are not multiples of the stride.
        """
        if any(size % self.config.stride for size in field.shape[2:]):
            raise ValueError(
                f"levels, latitudes and longitudes must be multiples of {self.config.stride}, "
                f"got {tuple(field.shape[2:])}"
            )
        hidden = self.lift(field)
        skips = []
        for depth, block in enumerate(self.down):
            if depth == 0:
                hidden = block(hidden, condition)
            else:
                hidden = self.attention[depth - 1](block(_halved(hidden), condition))
            skips.append(hidden)
        skips.pop()
        for block in self.up:
            hidden = F.interpolate(hidden, scale_factor=2, mode="nearest")
            hidden = block(torch.cat((hidden, skips.pop()), dim=1), condition)
        output: Tensor = self.head(F.silu(self.output_norm(hidden)))
        return output


def _halved(field: Tensor) -> Tensor:
    """Means over 2 x 2 x 2 cells; F.avg_pool3d has no half types on the CPU."""
    levels, latitudes, longitudes = (size // 2 for size in field.shape[2:])
    cells = field.reshape(*field.shape[:2], levels, 2, latitudes, 2, longitudes, 2)
    return cells.mean(dim=(3, 5, 7))
