import pytest

from astrobio.attention import AttentionConfig


def test_missing_sizes_are_filled_in() -> None:
    config = AttentionConfig(embed_dim=24, num_heads=4)
    assert (config.kv_heads, config.dim_per_head) == (4, 6)
    config = AttentionConfig(embed_dim=25, num_heads=4, num_kv_heads=2, head_dim=10)
    assert (config.kv_heads, config.dim_per_head) == (2, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embed_dim": 0}, "embed_dim must be at least 1, got 0"),
        ({"num_heads": 0}, "num_heads must be at least 1, got 0"),
        ({"num_kv_heads": 0}, "num_kv_heads must be at least 1, got 0"),
        ({"head_dim": -2}, "head_dim must be at least 1, got -2"),
        ({"embed_dim": 25}, "embed_dim 25 is not a multiple of num_heads 4; set head_dim"),
        ({"num_kv_heads": 3}, "num_heads 4 is not a multiple of num_kv_heads 3"),
        ({"dropout_p": 1.0}, r"dropout_p must be in \[0, 1\), got 1.0"),
        ({"dropout_p": float("nan")}, r"dropout_p must be in \[0, 1\), got nan"),
        ({"rotary_base": 0.0}, "rotary_base must be positive and finite"),
        ({"rotary_base": float("inf")}, "rotary_base must be positive and finite"),
        ({"rotary_base": 100.0, "head_dim": 5}, "head_dim must be even, got 5"),
        ({"backend": "flash"}, "unknown attention backend 'flash'"),
    ],
)
def test_settings_that_describe_no_layer_are_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AttentionConfig(**{"embed_dim": 24, "num_heads": 4, **settings})
