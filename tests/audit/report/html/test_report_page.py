"""What a page says of a report, before any script runs."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.report.document import Report
from audit.report.html.report import render_html
from audit.report.text import plain
from audit.results import Location, Outcome, Result, Severity

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
ReportOf = Callable[[str], Report]
Read = Callable[[str], Any]


@pytest.fixture(scope="module")
def tree(rich_report: Report, read: Read) -> Any:
    return read(render_html(rich_report))


def data_of(tree: Any) -> list[dict[str, Any]]:
    """Return the rows of the page's data as the script reads them."""
    data = json.loads(tree.one("script", id="data").text)
    texts = data["texts"]
    names = ("outcome", "severity", "check", "subject", "place", "reason", "command")
    found = []
    for *line, facts, curves in data["rows"]:
        pairs = [texts[each] for each in facts]
        found.append(
            dict(zip(names, (texts[each] for each in line), strict=True))
            | {"facts": dict(zip(pairs[::2], pairs[1::2], strict=True)), "curves": [texts[each] for each in curves]}
        )
    return found


def test_the_verdict_is_first_and_score_and_coverage_are_together(tree: Any) -> None:
    header = tree.one("header")
    assert header.children[0].text == "Verdict: not ready"
    figures = [(each.all("dt")[0].text, each.all("dd")[0].text) for each in header.one("dl").children]
    assert figures[:2] == [("score", "0 %"), ("coverage", "0 %")]
    assert ("failed", "2") in figures


def test_a_partial_run_says_so_first_and_has_no_verdict(
    make_report: MakeReport, make_result: MakeResult, read: Read
) -> None:
    tree = read(render_html(make_report([make_result()], partial_reason="limited to --only area")))
    assert [each.text for each in tree.one("header").children[:2]] == [
        "Partial run, no verdict",
        "limited to --only area",
    ]
    assert "Verdict: " not in tree.one("body").text.replace("no verdict", "")


@pytest.mark.parametrize(
    ("outcome", "state"), [(Outcome.PASSED, "good"), (Outcome.FAILED, "bad"), (Outcome.ERROR, "open")]
)
def test_a_verdict_is_told_by_its_words_and_has_a_colour(
    make_report: MakeReport, make_result: MakeResult, read: Read, outcome: Outcome, state: str
) -> None:
    heading = read(render_html(make_report([make_result(outcome)]))).one("h1")
    assert heading.has({"class": state})


def test_each_area_has_its_counts_score_and_coverage(tree: Any) -> None:
    rows = [[cell.text for cell in row.children] for row in tree.one("section", id="areas").one("tbody").children]
    assert rows[0][:6] == ["attention", "0 %", "100 %", "1", "0", "0"]
    assert [row[0] for row in rows] == ["attention", "gpu", "smoke", "static", "train"]


def test_failures_stand_before_what_was_not_judged_with_the_most_severe_first(
    make_report: MakeReport, make_result: MakeResult, read: Read
) -> None:
    place = Location(path="zoo/net.py", line=7)
    minor = make_result(Outcome.FAILED, "area.minor", severity=Severity.MINOR)
    worst = make_result(Outcome.FAILED, "area.worst", severity=Severity.CRITICAL, location=place, reason="it <leaks>")
    page = render_html(make_report([minor, worst, make_result(Outcome.SKIPPED, "area.waits")]))
    assert page.index('id="failures"') < page.index('id="not-judged"')
    section = page[page.index('id="failures"') : page.index('id="not-judged"')]
    assert section.index("area.worst") < section.index("area.minor")
    assert "zoo/net.py:7" in section
    assert "it &lt;leaks&gt;" in section
    assert 'id="failures"' not in render_html(make_report([make_result()]))
    many = [make_result(Outcome.FAILED, f"area.check_{number}") for number in range(103)]
    assert "3 further ones are in the list of results." in render_html(make_report(many))


def test_what_was_not_judged_is_told_by_its_reason_with_what_would_be_needed(tree: Any) -> None:
    rows = [[cell.text for cell in row.children] for row in tree.one("section", id="not-judged").one("tbody").children]
    assert [row[0] for row in rows] == ["error", "skipped", "undeclared"]
    assert rows[0][4].startswith("give it a batch")
    assert rows[1][2].startswith("2 checks on 1 subject")
    assert "keeps the release from being ready" in rows[1][2]
    assert rows[1][3] == "no CUDA device"
    assert "declaration" in rows[2][4]
    assert "keeps the release" not in rows[2][2]


def test_without_a_script_failures_errors_and_skips_are_there_and_the_rest_is_counted(tree: Any) -> None:
    items = tree.one("ol", id="list").children
    assert [each.all("span")[0].text for each in items] == ["failed", "failed", "error", "skipped", "skipped"]
    assert "it was failed" in items[0].text
    assert "73 further results are listed with JavaScript" in tree.one("p", class_="later").text
    assert "hidden" in tree.one("form").attributes


def test_the_list_without_a_script_has_an_end(make_report: MakeReport, make_result: MakeResult, read: Read) -> None:
    report = make_report([make_result(Outcome.FAILED, name=str(number)) for number in range(400)])
    tree = read(render_html(report))
    assert len(tree.one("ol", id="list").children) == 300
    assert tree.one("p", class_="later").text.startswith("100 further results")


def test_the_data_has_every_result_with_its_evidence_and_what_needs_attention_first(
    rich_report: Report, tree: Any
) -> None:
    rows = data_of(tree)
    assert len(rows) == len(rich_report.results)
    assert [row["outcome"] for row in rows[:5]] == ["failed", "failed", "error", "skipped", "skipped"]
    assert rows[-1]["outcome"] == "not_applicable"
    passed = next(row for row in rows if row["outcome"] == "passed")
    assert passed["facts"]["measured"] == "1"
    assert passed["facts"]["passes when"] == ">= 1"
    assert passed["facts"]["the bound comes from"] == "one is enough"
    assert passed["facts"]["a pass proves"] == "what it says"


def test_a_place_in_a_notebook_names_its_cell(make_report: MakeReport, make_result: MakeResult, read: Read) -> None:
    place = Location(path="a.ipynb", line=30, cell=2, cell_line=4)
    (row,) = data_of(read(render_html(make_report([make_result(Outcome.FAILED, location=place)]))))
    assert row["place"] == "a.ipynb:30 (cell 2, line 4)"


def test_curves_of_a_result_are_in_the_page_once_for_it_and_losses_are_shown_together(tree: Any) -> None:
    rows = data_of(tree)
    (overfits,) = (row for row in rows if row["check"] == "train.overfits")
    assert len(overfits["curves"]) == 2
    for name in overfits["curves"]:
        assert len(tree.one("template", id=name).all("figure")) == 1
    shown = tree.one("section", id="curves").all("figure")
    by_subject = {each.one("strong").text: each for each in shown}
    assert {name: len(each.all("path", class_="line")) for name, each in by_subject.items()} == {"net": 2, "subject": 1}
    assert len(by_subject["net"].all("path", class_="cross")) == 1


def test_a_defect_has_its_pattern_beside_the_expected_one_and_its_script(tree: Any) -> None:
    article = tree.one("article", class_="defect")
    assert article.one("h3").text == "The mask is not used"
    picture = article.one("figure", class_="attention")
    assert len(picture.all("rect")) == 18
    assert [each.text for each in picture.all("text")] == ["observed", "expected"]
    assert article.one("pre").text == "import torch\nif 1 < 2:\n    pass\n"
    assert article.one("button").attributes["aria-label"] == "Copy the script a.py"


def test_the_origin_of_the_report_is_told(tree: Any) -> None:
    assert "0" * 40 in tree.one("section", id="provenance").text


def test_parts_without_content_are_left_out(make_report: MakeReport, make_result: MakeResult, read: Read) -> None:
    tree = read(render_html(make_report([make_result()])))
    assert [each.attributes["id"] for each in tree.all("section")] == ["areas", "results", "provenance"]


def test_the_same_report_is_the_same_page(rich_report: Report) -> None:
    assert render_html(rich_report) == render_html(Report.model_validate_json(rich_report.model_dump_json()))


def test_an_empty_report_is_a_page(make_report: MakeReport, read: Read) -> None:
    assert read(render_html(make_report([]))).one("h1").text == "Verdict: incomplete"


def test_no_text_of_the_target_is_an_element_an_attribute_or_data_of_another_kind(
    report_of: ReportOf, hostile: str, read: Read
) -> None:
    harmless, tree = read(render_html(report_of("zoo"))), read(render_html(report_of(hostile)))

    def shape(top: Any) -> list[tuple[str, list[str]]]:
        # A text of spaces is no reason, fix or place: what would be empty is left out.
        return [(each.name, sorted(each.attributes)) for each in top.walk()]

    if hostile.strip():
        assert shape(tree) == shape(harmless)
    assert {name for name, _ in shape(tree)} <= {name for name, _ in shape(harmless)}
    assert plain(tree.text) == tree.text


@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_whatever_the_texts_are_the_page_is_well_formed(
    data: st.DataObject, hostile_text: st.SearchStrategy[str], report_of: ReportOf, read: Read
) -> None:
    report = report_of(data.draw(hostile_text))
    tree = read(render_html(report))
    drawn = report.provenance.package  # in which lone surrogates are written out
    assert tree.one("header").one("bdi").text == plain(drawn)
    rows = data_of(tree)
    assert len(rows) == 6
    assert {row["facts"].get("fix", "") for row in rows if row["outcome"] == "failed"} == {plain(drawn)}


def test_a_page_of_many_results_grows_with_them_and_writes_what_they_share_once(many: Callable[[int], Report]) -> None:
    assert render_html(many(3000)).count("one is enough") <= 1 + 300  # once as data; the rest is the list without it
