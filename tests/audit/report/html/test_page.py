"""What a page may do, and whether it can be read without eyes or a mouse."""

import base64
import hashlib
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from audit.report.document import Report
from audit.report.html.page import asset
from audit.report.html.report import render_html

Read = Callable[[str], Any]


@pytest.fixture(scope="module")
def page(rich_report: Report) -> str:
    return render_html(rich_report)


@pytest.fixture(scope="module")
def tree(page: str, read: Read) -> Any:
    return read(page)


def digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def test_the_policy_lets_the_pages_own_style_and_script_work_and_nothing_else(tree: Any) -> None:
    policy = tree.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    (script,) = (each for each in tree.all("script") if "type" not in each.attributes)
    assert rules == {
        "default-src": "'none'",
        "style-src": f"'{digest(tree.one('style').text)}'",
        "script-src": f"'{digest(script.text)}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_the_policy_comes_before_anything_that_it_governs(page: str) -> None:
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<body>")


def test_nothing_is_fetched_and_nothing_is_written_into_attributes_that_run(tree: Any) -> None:
    for element in tree.walk():
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            assert name not in ("style", "src", "srcdoc", "action", "formaction", "data", "ping")
            if name == "href":
                assert re.match(r"#|https://github\.com/[A-Za-z0-9_./-]+$", value)


def test_an_address_that_is_no_thread_is_not_linked(tree: Any) -> None:
    assert "javascript:alert(1)" in tree.text
    assert not any("javascript" in (each.attributes["href"] or "") for each in tree.all("a"))


def test_style_and_script_reach_for_nothing_and_end_nowhere() -> None:
    style, script = asset("page.css"), asset("page.js")
    assert not re.search(r"url\(|@import|</", style)
    # Ways to make markup of a string, or code.
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|fetch\(|XMLHttp|import\("
    assert not re.search(ways, script)
    assert not re.search("</script|<!--", script)
    assert "\r" not in style + script


def test_headings_go_down_one_level_at_a_time_and_there_is_one_first(tree: Any) -> None:
    levels = [int(each.name[1]) for each in tree.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_there_are_landmarks_and_a_way_past_the_navigation(tree: Any) -> None:
    assert [each.name for each in tree.one("body").children if each.name in ("header", "nav", "main")] == [
        "header", "nav", "main",
    ]  # fmt: skip
    first = tree.one("body").children[0]
    assert (first.name, first.attributes["href"]) == ("a", f"#{tree.one('main').attributes['id']}")
    assert tree.one("html").attributes["lang"] == "en"


def test_ids_are_unique_and_what_points_at_one_finds_it(tree: Any) -> None:
    ids = [each.attributes["id"] for each in tree.walk() if "id" in each.attributes]
    assert len(set(ids)) == len(ids)
    named = [each.attributes["aria-labelledby"] for each in tree.walk() if "aria-labelledby" in each.attributes]
    links = [each.attributes["href"][1:] for each in tree.one("nav").all("a")]
    assert named
    assert links
    assert {*named, *links} <= set(ids)


def test_every_control_has_a_name(tree: Any) -> None:
    labelled = [control for label in tree.all("label") for control in label.all("input", "select")]
    assert len(labelled) == len(tree.all("input", "select")) == 8
    assert all(label.text.strip() for label in tree.all("label"))
    assert all(each.text.strip() for each in tree.all("button", "summary", "legend") if each.name != "summary")


def test_every_picture_is_told_in_words_or_is_beside_the_same_in_words(tree: Any) -> None:
    pictures = tree.all("svg")
    assert pictures
    for each in pictures:
        is_told = each.attributes.get("role") == "img" and each.children[0].name == "title" and each.children[0].text
        assert is_told or each.attributes.get("aria-hidden") == "true"


def test_tables_say_which_cells_are_heads_and_scroll_with_the_keyboard(tree: Any) -> None:
    assert all(each.attributes.get("scope") in ("row", "col") for each in tree.all("th"))
    for each in tree.all("div", class_="scrolled"):
        assert (each.attributes["tabindex"], each.attributes["role"]) == ("0", "region")
        assert each.attributes["aria-label"]


def test_what_changes_is_told(tree: Any) -> None:
    for name in ("count", "told"):
        assert tree.one("p", id=name).attributes["aria-live"] == "polite"


def test_focus_can_be_seen() -> None:
    assert re.search(r":focus-visible \{ outline: 3px solid", asset("page.css"))
