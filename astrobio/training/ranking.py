"""How well scores rank: the area under the receiver operating characteristic."""

import torch
from torch import Tensor


def area_under_roc(scores: Tensor, is_positive: Tensor) -> float:
    """The probability that a positive scores higher than a negative, ties counted half.

    It is the Mann-Whitney statistic divided by the number of pairs (Hanley & McNeil 1982), in O(n log n).

    Args:
        scores: (n,), floating point and finite.
        is_positive: (n,) bool.

    Raises:
        ValueError: shapes differ, a score is not finite, or there are no positives or no negatives.
    """
    if scores.dim() != 1 or scores.shape != is_positive.shape:
        raise ValueError(
            f"scores and labels must share a shape (n,): {tuple(scores.shape)}, {tuple(is_positive.shape)}"
        )
    if not scores.isfinite().all():
        raise ValueError("a score is not finite, which has no rank")
    num_positive = int(is_positive.sum())
    num_negative = len(scores) - num_positive
    if num_positive == 0 or num_negative == 0:
        raise ValueError(f"{num_positive} positives and {num_negative} negatives cannot be told apart")
    _, group, sizes = torch.unique(scores, sorted=True, return_inverse=True, return_counts=True)
    last = sizes.cumsum(0).double()
    mean_rank = last - (sizes.double() - 1) / 2  # ranks begin at 1; equal scores share the mean of theirs
    rank_sum = float(mean_rank[group][is_positive].sum())
    return (rank_sum - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative)
