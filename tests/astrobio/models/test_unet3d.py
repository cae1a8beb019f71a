import pytest
import torch
from torch import Tensor

from astrobio.models.unet3d import ChannelNorm, PlanetConv3d, UNet3d, UNet3dConfig, pad_around_planet

DOUBLE = torch.float64


def random_field(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def network(**settings: object) -> UNet3d:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet3d(UNet3dConfig(**{"condition_dim": 5, **settings}), in_channels=3, out_channels=2).double()


def test_longitude_goes_on_around_the_planet() -> None:
    field = random_field(1, 1, 2, 4, 6)
    padded = pad_around_planet(field)
    assert padded.shape == (1, 1, 4, 6, 8)
    assert torch.equal(padded[:, :, 1:-1, 1:-1, 0], field[..., -1])
    assert torch.equal(padded[:, :, 1:-1, 1:-1, -1], field[..., 0])
    assert torch.equal(padded[:, :, 1:-1, 1:-1, 1:-1], field)


def test_a_meridian_goes_on_over_the_pole() -> None:
    field = random_field(1, 1, 2, 4, 6)
    padded = pad_around_planet(field)
    for longitude in range(6):
        beyond = (longitude + 3) % 6
        assert torch.equal(padded[:, :, 1:-1, -1, 1 + longitude], field[:, :, :, -1, beyond])
        assert torch.equal(padded[:, :, 1:-1, 0, 1 + longitude], field[:, :, :, 0, beyond])


def test_the_lowest_and_the_highest_level_are_repeated() -> None:
    field = random_field(1, 1, 2, 4, 6)
    padded = pad_around_planet(field)[..., 1:-1, 1:-1]
    assert torch.equal(padded[:, :, 0], field[:, :, 0])
    assert torch.equal(padded[:, :, -1], field[:, :, -1])


def test_an_odd_number_of_longitudes_is_an_error() -> None:
    with pytest.raises(ValueError, match="longitudes must be even to go on over the poles, got 5"):
        pad_around_planet(random_field(1, 1, 2, 4, 5))


@pytest.mark.parametrize("turn", [1, 5])
def test_a_convolution_turns_with_the_planet_by_any_number_of_cells(turn: int) -> None:
    torch.manual_seed(0)
    conv = PlanetConv3d(3, 2).double()
    field = random_field(2, 3, 4, 6, 8)
    # 81 products of order 1, in an order that the position may change.
    assert (conv(field.roll(turn, -1)) - conv(field).roll(turn, -1)).abs().max() <= 100 * torch.finfo(DOUBLE).eps


@pytest.mark.parametrize(("channels", "turn"), [((4, 8), 2), ((4, 8), 6), ((4, 8, 8), 4)])
def test_the_network_turns_with_the_planet_by_coarse_cells(channels: tuple[int, ...], turn: int) -> None:
    model, condition = network(channels=channels), random_field(2, 5, seed=1)
    field = random_field(2, 3, 4, 8, 16)
    turned = model(field.roll(turn, -1), condition)
    assert turned.shape == (2, 2, 4, 8, 16)
    # About ten layers of sums of up to 400 terms.
    bound = 10 * 400 * torch.finfo(DOUBLE).eps
    assert (turned - model(field, condition).roll(turn, -1)).abs().max() <= bound
    assert (turned - model(field, condition)).abs().max() > 1e-3


def test_the_network_sees_across_the_date_line_and_over_the_pole() -> None:
    model, condition = network(channels=(4, 8)), random_field(1, 5)
    field = random_field(1, 3, 4, 8, 16)
    field.requires_grad_()
    model(field, condition)[0, 0, 0, -1, 0].backward()
    assert field.grad is not None
    assert (field.grad[0, :, 0, -1, -1] != 0).any()
    assert (field.grad[0, :, 0, -1, 8] != 0).any()


def test_levels_and_latitudes_are_told_apart_by_attention() -> None:
    # The condition and convolutions aside: a field that is flipped in latitude is another field to the rotary axes.
    model, condition = network(channels=(4, 8)), random_field(1, 5)
    field = random_field(1, 3, 4, 8, 16)
    flipped = model(field.flip(-2), condition).flip(-2)
    assert (flipped - model(field, condition)).abs().max() > 1e-3


def test_a_cell_is_normalised_by_itself_and_not_by_the_planet() -> None:
    norm, field = ChannelNorm(3).double(), random_field(1, 3, 2, 4, 6)
    changed = field.clone()
    changed[:, :, 1, 2, 3] += random_field(1, 3, seed=1)
    difference = (norm(changed) - norm(field)).abs().amax(dim=1)
    assert difference[0, 1, 2, 3] > 1e-3
    difference[0, 1, 2, 3] = 0.0
    assert (difference == 0).all()


def test_the_condition_changes_the_output() -> None:
    model, field = network(), random_field(1, 3, 4, 8, 16)
    assert (model(field, random_field(1, 5)) - model(field, random_field(1, 5, seed=1))).abs().max() > 1e-3


def test_a_field_that_does_not_divide_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"must be multiples of 2, got \(4, 7, 16\)"):
        network()(random_field(1, 3, 4, 7, 16), random_field(1, 5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": (8,)}, "at least two resolutions"),
        ({"channels": (8, 0)}, "channels must be at least 1"),
        ({"channels": (8, 6)}, "head_dim must be even, got 3"),
        ({"condition_dim": 0}, "condition_dim must be at least 1"),
        ({"channels": (8, 16), "num_heads": 3}, "not a multiple of num_heads 3"),
        ({"backend": "none"}, "unknown attention backend"),
    ],
)
def test_settings_that_describe_no_network_are_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNet3dConfig(**settings)
