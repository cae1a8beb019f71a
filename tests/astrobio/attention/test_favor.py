"""What the papers' lemmas say of the error of FAVOR+, against what is measured."""

import pytest
import torch
from torch import Tensor

from astrobio.attention import attention, linear_attention
from astrobio.attention.favor import expected_squared_error, orthogonal_features, positive_features

HEAD_DIM = 8


def pairs(count: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, count, HEAD_DIM, generator=generator, dtype=torch.float64)
    return 0.3 * query, 0.3 * key  # longer ones have errors with tails that no number of draws samples


def kernel_estimates(features: Tensor) -> Tensor:
    """The estimate of exp(q.k / sqrt(D)) of each pair by each set of features, (sets, pairs)."""
    query, key = pairs()
    return torch.stack(
        [(positive_features(each, is_query=False)(query) * positive_features(each, is_query=False)(key)).sum(-1)
         for each in features.double()]
    )  # fmt: skip


def exact_kernel() -> Tensor:
    query, key = pairs()
    return ((query * key).sum(dim=-1) / HEAD_DIM**0.5).exp()


def test_independent_features_err_by_what_lemma_2_says() -> None:
    sets, num_features = 4000, 4
    features = torch.randn(sets, num_features, HEAD_DIM, generator=torch.Generator().manual_seed(1))
    estimates, exact = kernel_estimates(features), exact_kernel()
    squared = expected_squared_error(*pairs(), num_features=num_features)
    # Means over draws stray from the expected value by standard errors; four of them cover all six pairs.
    assert ((estimates.mean(dim=0) - exact).abs() <= 4 * (squared / sets).sqrt()).all()
    errors = (estimates - exact).square()
    assert ((errors.mean(dim=0) - squared).abs() <= 4 * errors.std(dim=0) / sets**0.5).all()


def test_orthogonal_features_are_unbiased_and_err_less() -> None:
    sets = 2000
    generator = torch.Generator().manual_seed(2)
    features = torch.stack([orthogonal_features(HEAD_DIM, HEAD_DIM, generator=generator) for _ in range(sets)])
    estimates, exact = kernel_estimates(features), exact_kernel()
    squared = expected_squared_error(*pairs(), num_features=HEAD_DIM)
    assert ((estimates.mean(dim=0) - exact).abs() <= 4 * (squared / sets).sqrt()).all()
    assert ((estimates - exact).square().mean(dim=0) / squared).mean() < 0.95


def test_features_are_orthogonal_within_a_block_and_as_long_as_normal_vectors() -> None:
    features = orthogonal_features(4000, HEAD_DIM, generator=torch.Generator().manual_seed(3))
    assert features.shape == (4000, HEAD_DIM)
    block = features[:HEAD_DIM] / features[:HEAD_DIM].norm(dim=1, keepdim=True)
    assert torch.allclose(block @ block.T, torch.eye(HEAD_DIM), atol=1e-5)
    # The mean of squared lengths of D normal numbers is D, with variance 2 D.
    assert abs(float(features.square().sum(dim=1).mean()) - HEAD_DIM) <= 4 * (2 * HEAD_DIM / 4000) ** 0.5


def attention_error(num_features: int, *, draws: int = 20) -> float:
    """Root of the mean squared difference from softmax attention, over draws of features."""
    generator = torch.Generator().manual_seed(4)
    query, key, value = torch.randn(3, 1, 2, 32, HEAD_DIM, generator=generator, dtype=torch.float64)
    query, key = 0.3 * query, 0.3 * key
    exact = attention(query, key, value, is_causal=True)
    squared = []
    for _ in range(draws):
        features = orthogonal_features(num_features, HEAD_DIM, generator=generator).double()
        estimate = linear_attention(
            query,
            key,
            value,
            is_causal=True,
            feature_map=positive_features(features, is_query=True),
            key_feature_map=positive_features(features, is_query=False),
        )
        squared.append((estimate - exact).square().mean())
    return float(torch.stack(squared).mean().sqrt())


def test_the_error_of_attention_falls_as_the_root_of_the_number_of_features() -> None:
    errors = [attention_error(count) for count in (32, 128, 512)]
    # Four times the features halve the error; 20 draws tell the ratio to within some ten percent.
    assert 1.6 <= errors[0] / errors[1] <= 2.6
    assert 1.6 <= errors[1] / errors[2] <= 2.6


def test_the_factor_of_a_query_does_not_reach_its_output() -> None:
    generator = torch.Generator().manual_seed(5)
    query, key, value = torch.randn(3, 1, 1, 5, HEAD_DIM, generator=generator, dtype=torch.float64)
    features = orthogonal_features(16, HEAD_DIM, generator=generator).double()
    maps = [positive_features(features, is_query=each) for each in (True, False)]
    outputs = [linear_attention(query, key, value, feature_map=each, key_feature_map=maps[1]) for each in maps]
    assert torch.allclose(outputs[0], outputs[1], rtol=0, atol=1e-12)


def test_large_inputs_give_finite_outputs() -> None:
    tensors = torch.randn(3, 1, 1, 5, HEAD_DIM, generator=torch.Generator().manual_seed(6)) * 50
    features = orthogonal_features(16, HEAD_DIM, generator=torch.Generator().manual_seed(7))
    query_map, key_map = (positive_features(features, is_query=each) for each in (True, False))
    output = linear_attention(*tensors, feature_map=query_map, key_feature_map=key_map)
    assert output.isfinite().all()


@pytest.mark.parametrize("sizes", [(0, 8), (8, 0)])
def test_no_features_are_an_error(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="num_features and head_dim must be at least 1"):
        orthogonal_features(*sizes)
