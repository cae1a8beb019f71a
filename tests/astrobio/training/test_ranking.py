import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from astrobio.training.ranking import area_under_roc


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_it_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[int, bool]]) -> None:
    positives = [score for score, positive in rows if positive]
    negatives = [score for score, positive in rows if not positive]
    scores = torch.tensor([float(score) for score, _ in rows])
    labels = torch.tensor([positive for _, positive in rows])
    if not positives or not negatives:
        with pytest.raises(ValueError, match="cannot be told apart"):
            area_under_roc(scores, labels)
        return
    right = sum((one > other) + 0.5 * (one == other) for one in positives for other in negatives)
    assert area_under_roc(scores, labels) == pytest.approx(right / (len(positives) * len(negatives)), abs=1e-12)


def test_bad_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        area_under_roc(torch.tensor([1.0, float("nan")]), torch.tensor([True, False]))
    with pytest.raises(ValueError, match="must share a shape"):
        area_under_roc(torch.ones(2), torch.ones(3, dtype=torch.bool))
