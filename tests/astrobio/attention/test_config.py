import pytest

from astrobio.attention import AttentionConfig, MultiHeadAttention


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
        ({"rotary_base": 100.0, "alibi": True}, "rotary_base and alibi are two position embeddings: choose one"),
        ({"window": 0}, "window counts the query itself and must be at least 1, got 0"),
        ({"num_global_tokens": 2}, "there is no window"),
        ({"soft_cap": -1.0}, "soft_cap must be positive and finite, got -1.0"),
        ({"context_dim": 0}, "context_dim must be at least 1, got 0"),
        ({"block_size": 0}, "block_size must be at least 1, got 0"),
        ({"feature_map": "relu"}, "unknown feature_map 'relu'; choose from: elu_plus_one, performer"),
        ({"num_features": 8}, "num_features is a setting of feature_map 'performer'"),
        ({"backend": "flash"}, "unknown attention backend 'flash'"),
    ],
)
def test_settings_that_describe_no_layer_are_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AttentionConfig(**{"embed_dim": 24, "num_heads": 4, **settings})


def test_a_layer_refuses_settings_that_it_would_ignore() -> None:
    config = AttentionConfig(embed_dim=24, num_heads=4, soft_cap=2.0)
    config.refuse("Layer", "window", "is_causal")
    with pytest.raises(ValueError, match=r"Layer has no use for soft_cap, which is 2\.0"):
        config.refuse("Layer", "window", "soft_cap")


@pytest.mark.parametrize("settings", [{"context_dim": 5}, {"feature_map": "performer"}, {"block_size": 4}])
def test_multi_head_attention_refuses_settings_of_other_mechanisms(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="MultiHeadAttention has no use for"):
        MultiHeadAttention(AttentionConfig(embed_dim=24, num_heads=4, **settings))
