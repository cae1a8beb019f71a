import pytest
import torch

from astrobio.attention import KVCache


def test_a_new_cache_is_empty() -> None:
    assert KVCache().length == 0


def test_appending_returns_everything_in_order() -> None:
    cache = KVCache()
    key, value = torch.randn(2, 2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    cache.append(key[:, :, :2], value[:, :, :2])
    all_keys, all_values = cache.append(key[:, :, 2:], value[:, :, 2:])
    assert cache.length == 5
    assert torch.equal(all_keys, key)
    assert torch.equal(all_values, value)


@pytest.mark.parametrize(
    "new",
    [
        torch.ones(1, 3, 1, 4),
        torch.ones(2, 1, 1, 4),
        torch.ones(2, 3, 1, 8),
        torch.ones(2, 3, 1, 4, dtype=torch.float64),
    ],
    ids=["batch", "heads", "head size", "dtype"],
)
def test_a_refused_append_leaves_the_cache_unchanged(new: torch.Tensor) -> None:
    cache = KVCache()
    cache.append(torch.ones(2, 3, 5, 4), torch.ones(2, 3, 5, 4))
    with pytest.raises(ValueError, match="the cache holds a key with batch 2, 3 heads of size 4, "):
        cache.append(new, new)
    assert cache.length == 5


def test_key_and_value_of_different_shape_are_an_error() -> None:
    with pytest.raises(ValueError, match="key and value must share one shape"):
        KVCache().append(torch.ones(2, 3, 5, 4), torch.ones(2, 3, 4, 4))
