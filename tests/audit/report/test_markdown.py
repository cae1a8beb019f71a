import itertools
from collections.abc import Callable
from typing import Any

import pytest
from rich.markdown import Markdown

from audit.report.document import Baseline, Environment, Report, SkippedTreeRow
from audit.report.markdown import render_markdown
from audit.results import Comparison, Evidence, Location, Outcome, Result, Subject, SubjectKind
from audit.static.inventory import InventoryItem, InventoryKind

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
RenderWith = Callable[[str], str]
ENVIRONMENT = Environment(
    python="3.11", torch="2.11", cuda=None, devices=(), libraries={}, threads=1, cpu_count=1, memory_bytes=1
)


def parsed(text: str) -> list[Any]:
    return list(Markdown(text).parsed)


def shape(text: str) -> list[str]:
    """Return the blocks of the document, and within each line what is not text."""
    kinds: list[str] = []
    for token in parsed(text):
        kinds.append(token.type)
        kinds += [each.type for each in token.children or [] if each.type not in ("text", "text_special", "entity")]
    return kinds


@pytest.fixture
def render_with(make_report: MakeReport, make_result: MakeResult) -> RenderWith:
    """Renders a report in which every string that comes from the target is the given one."""

    def render(text: str) -> str:
        subject = Subject(kind=SubjectKind.MODEL, spec=text, module=text, path=text, digest="sha256:" + 64 * "0")
        bound = {"bound": 1, "comparison": Comparison.EQUAL, "bound_origin": text, "reproduce": text}
        place = Location(path=text, line=3)
        results = [
            make_result(subject=subject, evidence=Evidence(measured=1, **bound), location=place),
            *(
                make_result(
                    outcome,
                    f"area.{outcome.value}",
                    subject=subject,
                    reason=text if text.strip() else "-",
                    fix=text,
                    evidence=Evidence(measured=text, **bound),
                    location=place,
                )
                for outcome in Outcome
                if outcome is not Outcome.PASSED
            ),
        ]
        item = InventoryItem(
            kind=InventoryKind.UNRESOLVED,
            module=text,
            qualname=text,
            path=text,
            line=1,
            bases=(text, text),
            resolved=False,
            digest="sha256:" + 64 * "0",
        )
        tree = SkippedTreeRow(path=text, files=3, reason=text)
        report = make_report(results, package=text, inventory=(item,), skipped_trees=(tree,))
        provenance = report.provenance.model_copy(
            update={"command": text, "environment": ENVIRONMENT.model_copy(update={"python": text, "torch": text})}
        )
        return render_markdown(report.model_copy(update={"provenance": provenance}))

    return render


def test_no_string_of_the_target_changes_the_shape_of_the_document(render_with: RenderWith, hostile: str) -> None:
    assert shape(render_with(hostile)) == shape(render_with("harmless"))


def test_no_string_of_the_target_adds_a_line(render_with: RenderWith, hostile: str) -> None:
    assert len(render_with(hostile).splitlines()) == len(render_with("harmless").splitlines())


def test_no_string_of_the_target_reaches_the_document_as_html_or_control(render_with: RenderWith, hostile: str) -> None:
    text = render_with(hostile)
    assert not any(token.type.startswith("html") for token in parsed(text))
    assert not set(text) & set("\x00\x07\x08\x0b\x0c\r\x1b\x7f\x85\x9b\u202e\u2066\u2028\u2029")
    text.encode()


def test_a_partial_reason_is_no_verdict(make_report: MakeReport, make_result: MakeResult, hostile: str) -> None:
    text = render_markdown(make_report([make_result()], partial_reason=f"limited to --subject {hostile}"))
    assert text.startswith("**Partial run, no verdict: limited to")
    assert shape(text) == shape(render_markdown(make_report([make_result()], partial_reason="limited to --subject x")))


def headings(text: str) -> list[str]:
    tokens = parsed(text)
    return [after.content for token, after in itertools.pairwise(tokens) if token.type == "heading_open"]


def test_the_verdict_comes_first_with_score_and_coverage(make_report: MakeReport, make_result: MakeResult) -> None:
    report = make_report([make_result(), make_result(Outcome.FAILED, "area.second"), make_result(Outcome.ERROR)])
    assert render_markdown(report).splitlines()[0] == "**Verdict: not ready** · score 25 % · coverage 75 %"


def test_a_partial_report_says_so_first_and_names_no_verdict(make_report: MakeReport, make_result: MakeResult) -> None:
    text = render_markdown(make_report([make_result()], partial_reason="limited to --only area"))
    assert text.splitlines()[0] == "**Partial run, no verdict: limited to --only area**"
    assert "Verdict:" not in text
    assert "ready" not in text.lower().replace("readiness", "")


def test_every_result_is_shown_under_its_outcome(make_report: MakeReport, make_result: MakeResult) -> None:
    text = render_markdown(make_report([make_result(outcome, name=outcome.value.upper()) for outcome in Outcome]))
    assert headings(text) == [
        "Readiness report of zoo",
        "Failed (1)",
        "Error: could not be judged (1)",
        "Skipped: not judged (1)",
        "Not applicable (1)",
        "Passed (1)",
        "Provenance",
    ]
    assert all(text.count(f"`{outcome.value.upper()}`") == 1 for outcome in Outcome)


def test_a_failure_is_told_with_place_measurement_fix_and_command(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    evidence = Evidence(
        measured=0.5,
        bound=0.25,
        comparison=Comparison.AT_MOST,
        bound_origin="rounding",
        unit="metres",
        reproduce="astrobio-audit area",
    )
    failure = make_result(
        Outcome.FAILED, reason="too far", evidence=evidence, location=Location(path="a.py", line=3), fix="go back"
    )
    lines = render_markdown(make_report([failure])).splitlines()
    start = lines.index("- **area.first** (critical) on `subject` at `a.py:3`: too far")
    assert lines[start + 1 : start + 4] == [
        "  - measured `0.5` metres (passes when <= 0.25); bound: rounding",
        "  - fix: go back",
        "  - reproduce: `astrobio-audit area`",
    ]


def test_uncommitted_changes_are_told(make_report: MakeReport, make_result: MakeResult) -> None:
    report = make_report([make_result()])
    dirty = report.model_copy(update={"provenance": report.provenance.model_copy(update={"dirty": True})})
    assert "with uncommitted changes" not in render_markdown(report)
    assert f"- commit: {'0' * 40} (with uncommitted changes)" in render_markdown(dirty)


def test_what_is_set_apart_has_its_own_section_and_is_counted_first(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    results = [
        make_result(Outcome.FAILED, "area.second", name="old", set_apart="in the baseline b", reason="old reason"),
        make_result(Outcome.FAILED, "area.second", name="new"),
    ]
    known = Baseline(source="the baseline b", set_apart=1)
    text = render_markdown(make_report(results, command="static", release=False, baselines=(known,)))
    assert "- 1 failure is in the baseline b, and does not count here\n" in text
    assert "## Failed (1)\n" in text
    assert "## Failed before (1)\n\n- **area.second** (critical): in the baseline b: old reason\n" in text


def test_a_hostile_baseline_and_reason_stay_text(
    make_report: MakeReport, make_result: MakeResult, hostile: str
) -> None:
    def render(text: str) -> str:
        reason = text if text.strip() else "-"
        result = make_result(Outcome.FAILED, set_apart=reason, reason=reason, location=Location(path=text, line=1))
        known = Baseline(source=text, set_apart=1)
        return render_markdown(make_report([result], command="static", release=False, baselines=(known,)))

    assert shape(render(hostile)) == shape(render("plain"))
