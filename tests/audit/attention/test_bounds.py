"""The arithmetic of bounds: what is not finite, empty or of another shape is never within one."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from audit.attention.bounds import Deviation, allowance, distance, is_constant, worst

ONE = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ONE, torch.ones(3, 2)),
        (torch.zeros(0), torch.zeros(0)),
        (torch.full((2, 3), math.nan), ONE),
        (torch.full((2, 3), math.inf), ONE),
        (torch.full((2, 3), math.inf), torch.full((2, 3), math.inf)),
        (ONE, torch.full((2, 3), math.nan)),
    ],
)
def test_distance_is_infinite_where_nothing_can_be_compared(found: Tensor, expected: Tensor) -> None:
    assert distance(found, expected) == math.inf


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_distance_is_the_largest_absolute_difference(values: list[float], seed: int) -> None:
    found = torch.tensor(values, dtype=torch.float64)
    expected = torch.randn(found.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert distance(found, expected) == max(abs(a - b) for a, b in zip(found.tolist(), expected.tolist(), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_allowance_is_three_errors_and_two_roundings(dtype: torch.dtype) -> None:
    truth = torch.full((4,), 0.75, dtype=torch.float64)
    step = torch.finfo(dtype).eps
    first, second = truth.to(dtype), (truth + step).to(dtype)
    rounding = float(((truth.to(dtype) + 0.3) - 0.3 - truth.to(dtype)).abs().max())
    assert allowance(truth, first, second) == 3 * step + 2 * rounding
    assert allowance(truth, second, first) == 3 * step + 2 * rounding


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_rounding_of_the_truth_is_within_the_allowance_of_an_exact_computation(dtype: torch.dtype) -> None:
    # A result of order one that is only rounded must pass even where the plain computation happens to be exact.
    truth = torch.linspace(-0.6, 0.6, 101, dtype=torch.float64)
    rounded = truth.to(dtype)
    assert distance(rounded, truth) <= allowance(truth, truth.float(), truth.float()) + allowance(
        rounded.double(), rounded, rounded
    )


@pytest.mark.parametrize("error", [math.inf, math.nan])
@pytest.mark.parametrize("bound", [math.inf, math.nan, 1.0])
def test_an_error_that_is_not_finite_is_within_no_bound(error: float, bound: float) -> None:
    assert not Deviation(case="x", error=error, bound=bound).holds


def test_the_worst_deviation_is_the_largest_in_units_of_its_bound() -> None:
    deviations = [Deviation(case=f"{e} of {b}", error=e, bound=b) for e, b in [(1.0, 4.0), (0.5, 1.0), (0.0, 0.0)]]
    assert worst(deviations).case == "0.5 of 1.0"
    assert worst([*deviations, Deviation(case="above zero", error=1e-9, bound=0.0)]).case == "above zero"


@pytest.mark.parametrize("shape", [(2, 11, 8), (2, 3, 11, 8)])
def test_an_answer_is_constant_when_no_token_differs_by_more_than_the_bound(shape: tuple[int, ...]) -> None:
    constant = torch.linspace(-1, 1, shape[-1]).expand(shape)
    assert is_constant(constant, 1e-6)
    varied = constant.clone()
    varied[0, ..., 3, 0] += 1.0
    assert not is_constant(varied, 1e-6)
    assert is_constant(varied, 1.0)


def test_nothing_is_constant_to_within_no_bound() -> None:
    assert not is_constant(torch.ones(2, 3, 4), math.inf)
    assert not is_constant(torch.ones(2, 3, 4), math.nan)
