import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.report.html.markup import LONGEST, json_block, shown, tag, text
from audit.report.text import plain

Read = Callable[[str], Any]


def test_a_hostile_text_is_text_and_nothing_else(hostile: str, read: Read) -> None:
    element = read(tag("p", text(hostile))).one("p")
    assert element.children == []
    assert element.text == shown(hostile)


def test_a_hostile_attribute_stays_in_its_quotes(hostile: str, read: Read) -> None:
    element = read(tag("p", title=hostile)).one("p")
    assert element.attributes == {"title": shown(hostile)}


def test_what_turns_or_hides_text_is_replaced() -> None:
    assert text("a\x1b[31mb\u202ec\u200bd\ufeff\ud800") == "a\ufffd[31mb\ufffdc\ufffdd\ufffd\ufffd"


def test_a_text_without_an_end_is_cut_and_says_so() -> None:
    made = shown("x" * 100_000)
    assert made.startswith("x" * LONGEST)
    assert made.endswith("(cut here; the JSON has all of it)")
    assert shown("x" * LONGEST) == "x" * LONGEST


@pytest.mark.parametrize(
    ("value", "written"), [(None, "<b></b>"), (False, "<b></b>"), (True, "<b hidden></b>"), ("", '<b hidden=""></b>')]
)
def test_an_attribute_is_left_out_or_has_no_value(value: str | bool | None, written: str) -> None:
    assert tag("b", hidden=value) == written


def test_names_of_attributes_are_written_as_html_has_them() -> None:
    assert tag("i", class_="a", aria_label="b") == '<i class="a" aria-label="b"></i>'


@pytest.mark.parametrize("name", ["script>", "a b", "", "<"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(AssertionError):
        tag(name)


@given(st.lists(st.text(st.characters(exclude_categories=()))))
def test_no_text_ends_the_data_and_all_of_it_comes_back(given_texts: list[str]) -> None:
    texts = [plain(each) for each in given_texts]
    block = json_block(texts, name="data")
    inside = block.removeprefix('<script type="application/json" id="data">').removesuffix("</script>")
    assert not re.search("[<>&\u2028\u2029]", inside)
    assert json.loads(inside) == texts


def test_the_usual_ways_out_of_a_script_are_closed() -> None:
    block = json_block(["</script><script>alert(1)</script>", "<!--<script", "]]>"], name="data")
    assert block.count("<") == 2
    assert "\\u003c/script\\u003e" in block
