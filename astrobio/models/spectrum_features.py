"""A measured transmission spectrum and the planet it is of, as numbers of order 1."""

import torch
from torch import Tensor

from astrobio.data.spectra_dataset import PROPERTY_RANGES
from astrobio.data.transmission import PROPERTY_NAMES, height_from_depth

# Heights of these spectra in scale heights: about the mean and standard deviation over random planets.
HEIGHT_CENTRE, HEIGHT_SCALE = 5.0, 4.0
NUM_KNOWN = len(PROPERTY_NAMES) + 1
"""What is known beside the spectrum: the planet's properties, and the logarithm of the noise."""


def property_scaling() -> tuple[Tensor, Tensor]:
    """Centre and half range of each of `PROPERTY_NAMES` in the data set, (4,) float32 each."""
    low, high = torch.tensor([PROPERTY_RANGES[name] for name in PROPERTY_NAMES]).unbind(dim=1)
    return (low + high) / 2, (high - low) / 2


def spectrum_features(
    depth: Tensor, noise: Tensor, properties: Tensor, scaling: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Heights (B, wavelengths) and what is known beside them (B, NUM_KNOWN), of order 1, in float32 at least.

    Args:
        depth: (B, wavelengths), transit depth.
        noise: (B, 1), standard deviation of its noise.
        properties: (B, 4), columns `PROPERTY_NAMES` in their units.
        scaling: as `property_scaling` gives it.
    """
    wide = torch.promote_types(depth.dtype, torch.float32)
    height, factor = height_from_depth(depth.to(wide), properties.to(wide))
    centre, half_range = scaling
    planet = (properties.to(wide) - centre.to(wide)) / half_range.to(wide)
    # The noise of a height, which is what a model has to live with.
    known = torch.cat((planet, (factor * noise.to(wide)).clamp_min(1e-12).log10()), dim=1)
    return (height - HEIGHT_CENTRE) / HEIGHT_SCALE, known
