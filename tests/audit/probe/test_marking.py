"""What marks padding: which positions count, and the argument that keeps others."""

from typing import Any

import pytest
import torch

from audit.probe.behaving.marking import marked
from audit.probe.behaving.misdeclared import Misdeclared

CONTENT = torch.zeros(3, 8, 2)
ALL = torch.ones(3, 8, dtype=torch.bool)


def padding(marks: str, **more: Any) -> dict[str, Any]:
    return {
        "mask": "it",
        "content": ["x"],
        "axis": 1,
        "keeps": True,
        "marks": marks,
        "pad_id": None,
        "outputs": None,
    } | more


def test_lengths_that_hide_nothing_hide_more_of_each_row_behind_the_first() -> None:
    marking = marked({"it": torch.full((3,), 8), "x": CONTENT}, padding("lengths"))
    assert marking.kept.sum(1).tolist() == [8, 6, 5]
    assert marking.keeping(marking.kept).tolist() == [8, 6, 5]
    assert marking.keeping(ALL).tolist() == [8, 8, 8]


@pytest.mark.parametrize(
    ("outputs", "alike", "expected"), [(None, False, 6), ({"y": 1}, True, 6), ({"y": 1}, False, 5)]
)
@pytest.mark.parametrize("marks", ["mask", "tokens"])
def test_what_hides_nothing_hides_odd_numbers_too_where_outputs_are_named(
    marks: str, outputs: object, alike: bool, expected: int
) -> None:
    given = ALL if marks == "mask" else ALL.long()
    named = padding(marks, outputs=outputs, pad_id=9 if marks == "tokens" else None)
    marking = marked({"it": given, "x": CONTENT}, named, alike=alike)
    assert marking.kept.sum(1).tolist() == [6, expected, 2 * expected - 6]


@pytest.mark.parametrize(
    ("marks", "outputs", "batch", "lengths"),
    [
        ("lengths", None, 0, [8, 6, 5]),
        ("lengths", None, 1, [8, 4, 3]),
        ("lengths", None, 9, [8, 1, 1]),
        ("mask", None, 1, [6, 6, 6]),
        ("mask", {"output": 1}, 0, [6, 5, 4]),
        ("mask", {"output": 1}, 1, [3, 2, 1]),
    ],
)
def test_each_batch_goes_on_with_shorter_rows(
    marks: str, outputs: dict[str, int] | None, batch: int, lengths: list[int]
) -> None:
    given = torch.full((3,), 8) if marks == "lengths" else ALL
    marking = marked({"it": given, "x": CONTENT}, padding(marks, outputs=outputs, batch=batch))
    assert marking.kept.sum(1).tolist() == lengths


def test_lengths_that_hide_something_stay() -> None:
    given = torch.tensor([3, 8, 0], dtype=torch.int32)
    marking = marked({"it": given, "x": CONTENT.movedim(1, 0)}, padding("lengths", axis=0))
    assert torch.equal(marking.keeping(marking.kept), given)
    assert marking.keeping(marking.kept).dtype == torch.int32


def test_the_length_of_a_row_alone_may_hide_all_but_a_position() -> None:
    marking = marked({"it": torch.tensor([1]), "x": CONTENT[:1]}, padding("lengths"))
    assert marking.keeping(torch.ones(1, 1, dtype=torch.bool)).tolist() == [1]


def test_padding_among_tokens_becomes_other_tokens_where_it_is_shown() -> None:
    tokens = torch.tensor([[5, 6, 0, 0], [7, 0, 6, 5]])
    marking = marked({"it": tokens}, padding("tokens", content=[], pad_id=0))
    assert torch.equal(marking.kept, tokens != 0)
    assert torch.equal(marking.keeping(marking.kept), tokens)
    opened = marking.keeping(torch.ones_like(marking.kept))
    assert torch.equal(opened[marking.kept], tokens[marking.kept])
    assert set(opened[~marking.kept].tolist()) <= {5, 6, 7}


def test_tokens_without_padding_are_given_some() -> None:
    marking = marked({"it": torch.full((2, 8), 4)}, padding("tokens", content=[], pad_id=9))
    assert marking.keeping(marking.kept).tolist() == [[4] * 6 + [9] * 2] * 2


@pytest.mark.parametrize("marks", ["mask", "lengths"])
def test_of_one_position_nothing_can_be_hidden(marks: str) -> None:
    given = torch.ones(3, 1, dtype=torch.bool) if marks == "mask" else torch.ones(3).long()
    with pytest.raises(Misdeclared, match="'it' marks 1 position of each sample, and one has to be left"):
        marked({"it": given, "x": CONTENT[:, :1]}, padding(marks))


@pytest.mark.parametrize(
    ("given", "marks", "said"),
    [
        (torch.ones(3, 8, 1), padding("mask"), r"the mask must be a tensor \(B, L\), not 3 axes"),
        (torch.ones(3), padding("lengths"), r"whole numbers, not 1 axes of float32"),
        (ALL[:, 0], padding("lengths"), "whole numbers, not 1 axes of bool"),
        ([8, 8, 8], padding("lengths"), "'it' must be a tensor .* not list"),
        (torch.full((3,), 9), padding("lengths"), "of up to 8, the positions of the content, not from 9 to 9"),
        (torch.full((3,), -1), padding("lengths"), "not from -1 to -1"),
        (torch.full((3,), 8), padding("lengths", axis=3), "'x' must be a tensor with positions on axis 3"),
        (torch.zeros(3, 8), padding("tokens", pad_id=0), r"\(B, L\) of whole numbers, not 2 axes of float32"),
        (torch.zeros(3, 8).long(), padding("tokens", pad_id=0), "no other token than the padding, 0"),
    ],
)
def test_an_argument_of_another_form_is_misdeclared(given: object, marks: dict[str, Any], said: str) -> None:
    with pytest.raises(Misdeclared, match=said):
        marked({"it": given, "x": CONTENT}, marks)


def test_an_argument_that_is_not_there_is_misdeclared() -> None:
    with pytest.raises(Misdeclared, match="'inputs' gives no argument 'it'"):
        marked({"x": CONTENT}, padding("lengths"))
