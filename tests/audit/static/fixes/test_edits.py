"""Edits of a text by span."""

import pytest

from audit.static.fixes.edits import Edit, applied, disjoint


def test_edits_are_made_together_whatever_their_order() -> None:
    assert applied("abcdef", [Edit(4, 5, "E"), Edit(0, 1, ""), Edit(2, 2, "-")]) == "b-cdEf"


def test_equal_edits_are_made_once() -> None:
    assert applied("ab", [Edit(1, 1, "-"), Edit(1, 1, "-")]) == "a-b"


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (Edit(0, 2, "x"), Edit(2, 4, "y"), True),
        (Edit(0, 3, "x"), Edit(2, 4, "y"), False),
        (Edit(1, 1, "x"), Edit(1, 1, "y"), False),  # which comes first?
        (Edit(1, 1, "x"), Edit(1, 1, "x"), True),
        (Edit(2, 2, "x"), Edit(2, 4, "y"), True),
        (Edit(4, 4, "x"), Edit(2, 4, "y"), True),
        (Edit(3, 3, "x"), Edit(2, 4, "y"), False),
    ],
)
def test_which_edits_can_be_made_together(one: Edit, other: Edit, apart: bool) -> None:
    assert one.overlaps(other) is other.overlaps(one) is not apart
    assert disjoint([[one], [other]]) == ([0, 1] if apart else [0])


def test_a_group_is_taken_whole_or_not_at_all() -> None:
    groups = [[Edit(0, 1, "a")], [Edit(5, 6, "b"), Edit(0, 1, "c")], [Edit(5, 6, "d")]]
    assert disjoint(groups) == [0, 2]
