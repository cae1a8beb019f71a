import math

import pytest
import torch

from astrobio.attention import apply_rotary, rotary_angles

EPS64 = torch.finfo(torch.float64).eps


def test_dot_products_depend_on_the_distance_only() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 2, 3, 1, 8, generator=generator, dtype=torch.float64)

    def dot_products(query_position: int, key_position: int) -> torch.Tensor:
        rotated_query = apply_rotary(query, torch.tensor([query_position]), base=100.0)
        rotated_key = apply_rotary(key, torch.tensor([key_position]), base=100.0)
        return (rotated_query * rotated_key).sum(-1)

    # The angle of position 137 is rounded to 137 eps, and dot products of 8 numbers below 4 magnify it by 128.
    assert (dot_products(3, 7) - dot_products(133, 137)).abs().max() <= 2 * 137 * 128 * EPS64
    assert (dot_products(3, 7) - dot_products(3, 8)).abs().min() > 1e-3


def test_dimensions_are_paired_across_the_two_halves() -> None:
    x = torch.randn(1, 1, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    positions, base = torch.arange(5), 50.0
    rotated = apply_rotary(x, positions, base)
    for position in range(5):
        for pair in range(3):
            angle = position * base ** (-2 * pair / 6)
            before = complex(x[0, 0, position, pair], x[0, 0, position, pair + 3])
            after = before * complex(math.cos(angle), math.sin(angle))
            actual = complex(rotated[0, 0, position, pair], rotated[0, 0, position, pair + 3])
            assert abs(actual - after) <= 8 * EPS64 * abs(before) * (1 + angle)


def test_position_zero_is_left_alone() -> None:
    x = torch.randn(2, 3, 1, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(apply_rotary(x, torch.tensor([0]), base=10_000.0), x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_rotated_by_float32_angles(dtype: torch.dtype) -> None:
    x = torch.randn(1, 2, 4, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    positions = torch.arange(3001, 3005)
    rotated = apply_rotary(x, positions, base=10_000.0)
    exact = apply_rotary(x.double(), positions, base=10_000.0)
    assert rotated.dtype == dtype
    # One rounding of the result, plus float32 angles up to 3004 rad: 3 roundings of one unit in 2^-24 each.
    bound = torch.finfo(dtype).eps / 2 * exact.abs() + 3 * 3004 * 2**-24 * x.double().abs().max() * 2
    assert ((rotated.double() - exact).abs() <= bound).all()


def test_float64_inputs_get_float64_angles() -> None:
    x = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    rotated = apply_rotary(x, torch.tensor([123456]), base=3.0)
    assert abs(float(rotated[0, 0, 0, 0]) - (math.cos(123456) - math.sin(123456))) <= 8 * EPS64


def test_every_sample_may_have_its_own_positions() -> None:
    x = torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([[0, 1, 2, 3], [5, 6, 7, 8]])
    rotated = apply_rotary(x, positions, base=100.0)
    for sample in range(2):
        alone = apply_rotary(x[sample : sample + 1], positions[sample], base=100.0)
        assert torch.equal(rotated[sample : sample + 1], alone)


@pytest.mark.parametrize("shape", [(3,), (1, 4), (3, 4), (2, 3, 4), ()])
def test_positions_of_another_shape_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"positions must have shape \(L,\) = \(4,\) or \(B, L\) = \(2, 4\)"):
        apply_rotary(torch.ones(2, 3, 4, 8), torch.zeros(shape), base=100.0)


def test_an_odd_head_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="head_dim must be even, got 7"):
        rotary_angles(torch.arange(4), head_dim=7, base=100.0)
