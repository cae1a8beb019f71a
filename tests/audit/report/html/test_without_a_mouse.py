"""The page with a keyboard alone, and as a screen reader is told of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.report.document import Report
from audit.report.html.report import render_html

Drive = Callable[[Path], Any]
FOCUSED = """(() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return [at.localName, at.id || at.name || at.className || at.textContent.trim().slice(0, 30), seen];
})()"""


@pytest.fixture(scope="module")
def driven(browser: Any, rich_report: Report, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("driven") / "page.html"
    path.write_text(render_html(rich_report))
    with browser.drive(path) as opened:
        yield opened


def tab_until(driven: Any, expression: str, *, most: int = 80) -> list[list[Any]]:
    """Press Tab until an expression holds, and return what had the focus on the way."""
    way = []
    for _ in range(most):
        driven.press("Tab")
        way.append(driven.value(FOCUSED))
        if driven.value(expression):
            return way
    raise AssertionError(f"never: {expression}; {way}")


def test_keys_reach_the_filters_and_the_rows_and_what_has_the_focus_is_seen(driven: Any) -> None:
    driven.press("Tab")
    assert driven.value(FOCUSED)[1:] == ["skip", True]
    driven.press("Enter")
    driven.wait_for("document.activeElement.id === 'content'")

    way = tab_until(driven, "document.activeElement.name === 'q'")
    assert [name for tag, name, _ in way if tag in ("input", "select")] == [*["filter"] * 5, "area", "severity", "q"]
    assert all(seen for _, _, seen in way)
    driven.write("overfits")
    driven.wait_for("document.getElementById('count').textContent.startsWith('1 of 78')")

    way = tab_until(driven, "document.activeElement.localName === 'summary'")
    assert way[-1][2] is True
    driven.press("Enter")
    driven.wait_for("document.querySelector('.result details').open")
    driven.wait_for("document.querySelector('.result .curves svg') !== null")

    driven.value("document.querySelector('input[name=q]').focus()")
    tab_until(driven, "document.activeElement.type === 'reset'")
    driven.press("Enter")
    driven.wait_for("document.getElementById('count').textContent.startsWith('78 of 78')")
    tab_until(driven, "document.activeElement.id === 'next'")
    driven.press(" ")
    driven.wait_for("document.getElementById('page').textContent === 'Page 2 of 2'")
    assert driven.value("document.activeElement.id") == "count"


def test_a_screen_reader_is_told_of_landmarks_headings_controls_and_pictures(driven: Any) -> None:
    told = driven.read_out()
    roles = Counter(role for role, _ in told)
    assert {"banner", "navigation", "main", "search"} <= roles.keys()
    headings = [name for role, name in told if role == "heading"]
    assert headings[:2] == ["Verdict: not ready", "Areas"]
    for role in ("button", "checkbox", "combobox", "searchbox", "link", "region", "img", "image", "DisclosureTriangle"):
        assert all(name for each, name in told if each == role), role
    assert ("checkbox", "failed 2") in told
    assert ("searchbox", "Search") in told
    assert ("combobox", "Severity") in told
    pictures = [name for role, name in told if role in ("img", "image")]
    assert any("loss: 3 to 1" in name and "1 value not finite" in name for name in pictures)
    assert any(name.startswith("attention of net; weights of one head") for name in pictures)
    assert roles["status"] == 2
    regions = [name for role, name in told if role == "region"]
    assert len(set(regions)) == len(regions)
    assert roles["graphics-symbol"] == 0  # each cell of a pattern would be one
    assert any(role == "columnheader" and name == "coverage" for role, name in told)
    assert any(role == "rowheader" and name == "attention" for role, name in told)
