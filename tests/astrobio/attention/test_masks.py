import pytest
import torch

from astrobio.attention.masks import (
    causal_mask,
    check_attention_bias,
    check_attention_mask,
    check_key_mask,
    combine_allowed,
    split_bias,
)

SHAPE = (2, 6, 3, 5)


def test_the_causal_mask_is_aligned_to_the_bottom_right() -> None:
    assert causal_mask(2, 4).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert causal_mask(3, 2).int().tolist() == [[0, 0], [1, 0], [1, 1]]


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.uint8])
def test_masks_that_are_not_boolean_are_a_type_error(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=f"key_mask must be bool with True where a query may attend, got {dtype}"):
        check_key_mask(torch.ones(2, 5, dtype=dtype), batch=2, key_length=5)
    with pytest.raises(TypeError, match="attention_mask must be bool"):
        check_attention_mask(torch.ones(SHAPE, dtype=dtype), SHAPE)


@pytest.mark.parametrize("shape", [(2, 4), (1, 5), (5,), (2, 1, 5)])
def test_a_key_mask_of_another_shape_is_a_value_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"key_mask must have shape \(B, Lk\) = \(2, 5\)"):
        check_key_mask(torch.ones(shape, dtype=torch.bool), batch=2, key_length=5)


@pytest.mark.parametrize("shape", [(), (5,), (3, 1), (6, 3, 5), (2, 1, 1, 5), SHAPE])
def test_a_mask_or_bias_that_broadcasts_is_accepted(shape: tuple[int, ...]) -> None:
    check_attention_mask(torch.ones(shape, dtype=torch.bool), SHAPE)
    check_attention_bias(torch.ones(shape), SHAPE)


@pytest.mark.parametrize("shape", [(4,), (2, 5), (2, 3, 5), (1, *SHAPE)])
def test_a_mask_or_bias_that_does_not_broadcast_is_a_value_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="attention_mask must broadcast"):
        check_attention_mask(torch.ones(shape, dtype=torch.bool), SHAPE)
    with pytest.raises(ValueError, match="attention_bias must broadcast"):
        check_attention_bias(torch.ones(shape), SHAPE)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_a_bias_that_is_not_floating_point_is_a_type_error(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match="to block keys pass a bool attention_mask"):
        check_attention_bias(torch.ones(SHAPE, dtype=dtype), SHAPE)


def test_combined_masks_allow_what_all_of_them_allow() -> None:
    combined = combine_allowed(torch.tensor([True, True, False]), None, torch.tensor([[True], [False]]))
    assert combined is not None
    assert combined.tolist() == [[True, True, False], [False, False, False]]
    assert combine_allowed(None, None) is None


def test_a_bias_splits_into_a_finite_part_and_a_mask() -> None:
    finite, allowed = split_bias(torch.tensor([1.5, float("-inf"), -2.0]))
    assert finite.tolist() == [1.5, 0.0, -2.0]
    assert allowed.tolist() == [True, False, True]
