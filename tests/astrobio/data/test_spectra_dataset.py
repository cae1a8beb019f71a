import pytest
import torch

from astrobio.data.gases import GASES
from astrobio.data.spectra_dataset import (
    CLOUD_TOP_RANGE_PA,
    LOG10_ABUNDANCE_RANGES,
    NOISE_RANGE_PPM,
    PROPERTY_RANGES,
    make_spectra_dataset,
    measure,
    sample_transiting_planets,
)
from astrobio.data.transmission import PROPERTY_NAMES


def test_planets_fill_their_ranges_and_stay_within() -> None:
    planets = sample_transiting_planets(2000, torch.Generator().manual_seed(0))
    columns = {name: planets.properties[:, i] for i, name in enumerate(PROPERTY_NAMES)}
    columns |= {gas: planets.log10_abundance[:, i] for i, gas in enumerate(GASES)}
    ranges = {**PROPERTY_RANGES, **LOG10_ABUNDANCE_RANGES}
    columns["cloud"], ranges["cloud"] = planets.cloud_top_pa.log10(), (3.0, 5.0)
    for name, (low, high) in ranges.items():
        width = high - low
        assert low <= float(columns[name].min()) < low + 0.01 * width  # of 2,000 uniform draws
        assert high - 0.01 * width < float(columns[name].max()) <= high
    assert CLOUD_TOP_RANGE_PA == (1e3, 1e5)


def test_the_largest_mixture_fits_into_the_atmosphere() -> None:
    assert sum(10.0**high for _, high in LOG10_ABUNDANCE_RANGES.values()) < 1.0


def test_the_same_seed_gives_the_same_planets() -> None:
    first, again, other = (make_spectra_dataset(5, seed) for seed in (1, 1, 2))
    assert torch.equal(first.depth, again.depth)
    assert not torch.equal(first.depth, other.depth)
    with pytest.raises(ValueError, match="num_planets must be at least 1"):
        make_spectra_dataset(0, 0)


def test_noise_has_the_level_that_is_told() -> None:
    depth = torch.full((400, 208), 1e-3, dtype=torch.float64)
    measured = measure(depth, torch.Generator().manual_seed(0))
    low, high = NOISE_RANGE_PPM
    assert low * 1e-6 <= float(measured.noise.min()) < float(measured.noise.max()) <= high * 1e-6 * (1 + 1e-6)
    standardised = (measured.depth.double() - depth) / measured.noise.double()
    # The mean square of n standard normal numbers has a standard deviation of sqrt(2 / n).
    n = standardised.numel()
    assert abs(float(standardised.square().mean()) - 1.0) < 6 * (2.0 / n) ** 0.5
    assert abs(float(standardised.mean())) < 6 / n**0.5


def test_picking_planets_picks_their_spectra() -> None:
    dataset = make_spectra_dataset(6, 0)
    picked = dataset[torch.tensor([4, 1])]
    assert len(picked) == 2
    assert torch.equal(picked.depth, dataset.depth[[4, 1]])
    assert torch.equal(picked.planets.properties, dataset.planets.properties[[4, 1]])
    assert torch.equal(picked.planets.log10_abundance, dataset.planets.log10_abundance[[4, 1]])
