import pytest
import torch

from astrobio.attention import KVCache, SlidingKVCache, StaticKVCache


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


def parts(*lengths: int) -> list[torch.Tensor]:
    whole = torch.randn(2, 3, sum(lengths), 4, generator=torch.Generator().manual_seed(0))
    return list(whole.split(lengths, dim=2))


def static(max_length: int) -> StaticKVCache:
    return StaticKVCache(batch_size=2, num_kv_heads=3, max_length=max_length, head_dim=4)


def test_a_static_cache_returns_everything_in_order_and_never_moves_it() -> None:
    cache = static(6)
    first, second = parts(2, 3)
    early, _ = cache.append(first, first)
    keys, values = cache.append(second, -second)
    assert cache.length == 5
    assert torch.equal(keys, torch.cat((first, second), dim=2))
    assert torch.equal(values, torch.cat((first, -second), dim=2))
    assert torch.equal(early, first)
    assert early.data_ptr() == keys.data_ptr()


def test_a_full_static_cache_is_an_error_and_keeps_what_it_holds() -> None:
    cache = static(4)
    first, second = parts(3, 2)
    cache.append(first, first)
    with pytest.raises(ValueError, match="has room for 4 positions and holds 3: no room for 2 more"):
        cache.append(second, second)
    assert cache.length == 3
    cache.clear()
    assert torch.equal(cache.append(second, second)[0], second)


def test_a_static_cache_refuses_what_autograd_would_have_to_follow() -> None:
    (key,) = parts(2)
    key.requires_grad_()
    with pytest.raises(ValueError, match=r"decode under torch\.no_grad\(\), or use KVCache"):
        static(4).append(key, key)
    with torch.no_grad():
        assert static(4).append(key, key)[0].shape == key.shape


def test_a_static_cache_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="the cache holds a key with batch 2, 3 heads of size 4"):
        static(4).append(torch.ones(1, 3, 1, 4), torch.ones(1, 3, 1, 4))
    with pytest.raises(ValueError, match="must be at least 1"):
        static(0)


@pytest.mark.parametrize("num_global_tokens", [0, 2])
def test_a_sliding_cache_returns_the_window_before_the_new_positions(num_global_tokens: int) -> None:
    cache = SlidingKVCache(window=3, num_global_tokens=num_global_tokens)
    pieces = parts(1, 1, 1, 4, 1, 2)
    whole = torch.cat(pieces, dim=2)
    for piece in pieces:
        start, new = cache.length, piece.shape[2]
        positions = cache.positions(new)
        keys, _ = cache.append(piece, piece)
        wanted = sorted({*range(min(num_global_tokens, start)), *range(max(0, start - 2), start + new)})
        assert torch.equal(keys, whole[:, :, wanted])
        assert (list(range(start + new)) if positions is None else positions.tolist()) == wanted
        assert cache.length == start + new
    assert cache.num_held == 2 + num_global_tokens


@pytest.mark.parametrize("settings", [{"window": 0}, {"window": 2, "num_global_tokens": -1}])
def test_a_sliding_cache_of_no_window_is_an_error(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="window must be at least 1 and num_global_tokens 0"):
        SlidingKVCache(**settings)
