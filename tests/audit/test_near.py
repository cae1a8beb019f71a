"""Which names are near a mistyped one."""

import pytest

from audit.near import hint, nearest

FORMS = ("text", "json", "html", "markdown", "summary", "sarif", "github", "junit", "badge")


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("markdwon", ["markdown"]),
        ("JSON", ["json"]),
        ("md", []),
        ("", []),
        ("yaml", []),
    ],
)
def test_what_is_alike_is_near(wanted: str, near: list[str]) -> None:
    assert nearest(wanted, FORMS) == near


@pytest.mark.parametrize(
    ("wanted", "near"), [("md", ["markdown"]), ("sum", ["summary"]), ("gh", ["github"]), ("m", []), ("dm", [])]
)
def test_what_a_word_is_short_for_is_near_where_that_is_asked(wanted: str, near: list[str]) -> None:
    assert nearest(wanted, FORMS, shortened=True) == near


def test_a_hint_names_what_is_near_or_says_what_there_is() -> None:
    assert hint("jsno", FORMS, otherwise="there are many") == "did you mean json?"
    assert hint("xyzzy", FORMS, otherwise="there are many") == "there are many"
