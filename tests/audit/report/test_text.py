import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.markdown import Markdown

from audit.report.text import cell_code, code, markdown, number, one_line, percent, plain

# Surrogates too: names of files that are not UTF-8 hold them.
characters = (
    st.characters() | st.characters(categories=["Cs"]) | st.sampled_from("`|\\*_[]<>#!~&$\n\r\t\x1b\u202e\u2028:/")
)
texts = st.text(characters, max_size=60)
LIMIT = 300


def is_harmless(text: str) -> bool:
    return not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in text)


def inline(text: str) -> list[tuple[str, str]]:
    """Parse one paragraph of Markdown and return the kinds and contents of what is in it."""
    tokens = Markdown(text).parsed
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    return [(token.type, token.content) for token in tokens[1].children or []]


@given(texts)
@settings(deadline=None)
def test_plain_text_moves_no_cursor_and_reorders_nothing(text: str) -> None:
    result = plain(text)
    assert is_harmless(result.replace("\n", "").replace("\t", "").replace("\u2028", "").replace("\u2029", ""))
    assert len(result) == len(text)
    result.encode()


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs"]), max_size=60))
@settings(deadline=None)
def test_plain_text_keeps_what_is_harmless(text: str) -> None:
    assert plain(text) == text


@given(texts)
@settings(deadline=None)
def test_one_line_is_one_harmless_line(text: str) -> None:
    result = one_line(text)
    assert is_harmless(result)
    assert len(result.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b", "a  b"),  # a path with two spaces is another path with one
        (" a \n  b\t\tc\u2028d ", "a b c d"),
        ("a\r\nb", "a\N{REPLACEMENT CHARACTER} b"),
        ("\n", ""),
    ],
)
def test_one_line_joins_lines_and_keeps_what_is_within_them(text: str, expected: str) -> None:
    assert one_line(text) == expected


def test_one_line_without_a_limit_is_whole() -> None:
    assert one_line("x" * 10 * LIMIT, limit=None) == "x" * 10 * LIMIT


@pytest.mark.parametrize("length", [LIMIT - 1, LIMIT, LIMIT + 1, 10 * LIMIT])
def test_one_line_is_no_longer_than_its_limit(length: int) -> None:
    result = one_line("x" * length, LIMIT)
    assert len(result) == min(length, LIMIT)
    assert result.endswith("...") is (length > LIMIT)


@given(texts)
@settings(deadline=None)
def test_escaped_text_is_read_back_as_it_was(text: str) -> None:
    # After a word, as in a report: what begins a line may also be read as a list or a quotation.
    parsed = inline(f"reason: {markdown(text)}")
    assert {kind for kind, _ in parsed} <= {"text", "text_special", "entity"}
    shown = "".join(content for _, content in parsed).replace("\N{ZERO WIDTH SPACE}", "")
    assert shown == f"reason: {one_line(text, 2000)}".strip()


@given(texts)
@settings(deadline=None)
def test_escaped_text_stays_in_its_cell(text: str) -> None:
    row = f"| {markdown(text)} | {cell_code(text)} | end |"
    tokens = Markdown(f"| a | b | c |\n|---|---|---|\n{row}\n").parsed
    assert sum(token.type == "tr_open" for token in tokens) == 2
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 6
    assert [(each.type, each.content.strip()) for each in cells[-2].children or []] == [
        ("code_inline", one_line(text, 2000))
    ]
    assert cells[-1].content == "end"
    assert tokens[-1].type == "table_close"


@given(st.text(characters.filter(lambda character: character != "|"), max_size=60))
@settings(deadline=None)
def test_a_code_span_holds_its_text_and_nothing_gets_out(text: str) -> None:
    before, span, after = inline(f"on {code(text)} at")
    assert (before, after) == (("text", "on "), ("text", " at"))
    assert (span[0], span[1].strip()) == ("code_inline", one_line(text, 2000))


def test_a_pipe_in_a_code_span_outside_a_table_is_shown_as_a_pipe() -> None:
    # GitHub takes the backslash away in a table cell only; elsewhere it would be part of a command that people copy.
    assert inline(code("a|b")) == [("code_inline", "a|b")]


def test_addresses_are_not_turned_into_links() -> None:
    for text in ("see http://x.example", "see www.x.example", "a@b.example", "@owner"):
        assert text not in markdown(text)
        assert markdown(text).replace("\N{ZERO WIDTH SPACE}", "") == text


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "-"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.999999, "99.9 %"),
        (2 / 3, "66.6 %"),
        (0.5, "50 %"),
        (0.0001, "0 %"),
    ],
)
def test_a_share_is_rounded_down(share: float | None, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize("thousandths", range(0, 1001, 7))
def test_thousandths_are_shown_as_they_are(thousandths: int) -> None:
    assert percent(thousandths / 1000) == f"{thousandths / 10:g} %"


@given(st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_only_all_is_shown_as_100_percent(share: float) -> None:
    assert percent(share) != "100 %"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (3, "3"),
        (1234567, "1234567"),
        (0.000012345, "1.234e-05"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        ("text", "text"),
    ],
)
def test_numbers_are_shown_with_four_digits(value: float | str | None, shown: str) -> None:
    assert number(value) == shown
