"""Which lines hold words of attention."""

import pytest

from audit.static.attention_words import NAMES, any_within, lines_with
from audit.static.lines import SourceLines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attn = attn + attn\nx\nself.attn", [1, 3]),
        ("flatten(attention)\nflatten(x)", [1]),
        ("x\n\nflash_attn", [3]),
        ("", []),
    ],
)
def test_a_line_counts_once_and_for_any_of_its_words(text: str, expected: list[int]) -> None:
    assert lines_with(NAMES, text, SourceLines(text)) == expected


def test_lines_at_both_ends_are_within() -> None:
    assert any_within(3, 5, [1, 3])
    assert any_within(3, 5, [5, 9])
    assert not any_within(3, 5, [2, 6])
