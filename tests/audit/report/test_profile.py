"""Nobody takes a verdict for one hardware for one about all: the first line says it, in every format."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from audit.profiles import Profile, left_out_by
from audit.report.badge import render_badge
from audit.report.document import Report
from audit.report.github import render_github
from audit.report.html.report import render_html
from audit.report.junit import render_junit
from audit.report.markdown import render_markdown
from audit.report.sarif import render_sarif
from audit.report.summary import render_summary
from audit.report.terminal import print_report
from audit.report.unjudged import unjudged
from audit.report.verdicts import verdict_lines, verdict_text
from audit.results import Outcome, Result
from audit.score import Verdict

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
LEFT_OUT = "1 check on 1 subject not judged, for they need more than the profile cpu has"


def terminal(report: Report) -> str:
    out = StringIO()
    print_report(report, Console(file=out, width=200))
    return out.getvalue()


@pytest.fixture
def for_cpus(make_report: MakeReport, make_result: MakeResult) -> Report:
    """A release with one pass, and one check that lies outside of the profile for CPUs."""
    outside = make_result(Outcome.NOT_APPLICABLE, "smoke.build", name="big", reason=Profile.CPU.outside(1))
    return make_report([make_result(name="small"), outside], profile=Profile.CPU)


@pytest.mark.parametrize(
    ("profile", "held"), [(Profile.CPU, (0,)), (Profile.GPU, (0, 1)), (Profile.MULTI_GPU, (0, 1, 2, 8))]
)
def test_a_profile_holds_what_its_hardware_carries_out(profile: Profile, held: tuple[int, ...]) -> None:
    assert tuple(gpus for gpus in (0, 1, 2, 8) if profile.holds(gpus)) == held


def test_a_reason_names_the_profile_and_what_would_be_needed() -> None:
    assert Profile.CPU.outside(1) == "outside the profile cpu: needs a GPU"
    assert Profile.GPU.outside(4) == "outside the profile gpu: needs 4 GPUs"
    assert [left_out_by(reason) for reason in (Profile.GPU.outside(4), "needs 4 GPUs", None)] == ["gpu", None, None]


def test_the_first_line_of_every_format_says_what_the_verdict_is_for(for_cpus: Report) -> None:
    assert for_cpus.verdict is Verdict.READY
    assert terminal(for_cpus).splitlines()[-2:] == [
        "verdict: ready, for use on CPUs   score 100 %   coverage 100 %",
        f"  {LEFT_OUT}",
    ]
    for text in (render_markdown(for_cpus), render_summary(for_cpus)):
        assert text.splitlines()[0] == "**Verdict: ready, for use on CPUs** · score 100 % · coverage 100 %"
        assert LEFT_OUT in text
    page = render_html(for_cpus)
    assert ">Verdict: ready, for use on CPUs</h1>" in page
    assert "<title>ready, for use on CPUs: readiness report of zoo</title>" in page
    badge = render_badge(for_cpus)
    assert "<title>readiness: ready, for use on CPUs, coverage 100 %</title>" in badge
    assert badge.count("ready, for use on CPUs, coverage 100 %") == 3  # title, label and what is seen
    assert render_github(for_cpus).splitlines()[-1].endswith("verdict ready, for use on CPUs")
    assert "verdict: ready, for use on CPUs" in render_junit(for_cpus)
    properties = json.loads(render_sarif(for_cpus))["runs"][0]["properties"]
    assert (properties["profile"], properties["besideVerdict"]) == ("cpu", [LEFT_OUT])


@pytest.mark.parametrize(
    ("outcome", "said"), [(Outcome.FAILED, "not ready"), (Outcome.SKIPPED, "incomplete"), (Outcome.PASSED, "ready")]
)
@pytest.mark.parametrize("profile", Profile)
def test_every_verdict_says_it(
    outcome: Outcome, said: str, profile: Profile, make_report: MakeReport, make_result: MakeResult
) -> None:
    report = make_report([make_result(outcome)], profile=profile)
    assert verdict_text(report) == f"{said}, {profile.use}"
    assert verdict_lines(report) == [f"profile {profile}: nothing is left out for want of hardware"]


def test_without_a_profile_no_line_speaks_of_hardware(make_report: MakeReport, make_result: MakeResult) -> None:
    report = make_report([make_result()])
    assert (verdict_text(report), verdict_lines(report)) == ("ready", [])
    assert "for use on" not in terminal(report) + render_markdown(report) + render_html(report) + render_badge(report)


def test_what_lies_outside_stays_visible_with_what_would_be_needed(for_cpus: Report) -> None:
    (entry,) = unjudged(for_cpus)
    assert (entry.reason, entry.subjects, entry.gates) == (Profile.CPU.outside(1), ("big",), False)
    assert entry.needed == "`readiness` with a `--profile` that has it, on such a machine"
    for text in (render_summary(for_cpus), render_html(for_cpus)):
        assert "outside the profile cpu: needs a GPU" in text


def test_what_lies_outside_earns_no_credit_and_a_release_of_nothing_else_is_not_ready(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    outside = make_result(Outcome.NOT_APPLICABLE, reason=Profile.CPU.outside(1))
    report = make_report([outside], profile=Profile.CPU)
    assert (report.verdict, report.score, report.exit_code) == (Verdict.INCOMPLETE, None, 3)


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "results lie outside the profile cpu, and the report is for none": lambda d: d.update(profile=None),
    "results lie outside the profile cpu, and the report is for gpu": lambda d: d.update(profile="gpu"),
    "only a release is judged for a profile": lambda d: d.update(release=False, verdict="clean"),
    "Input should be 'cpu', 'gpu' or 'multi-gpu'": lambda d: d.update(profile="tpu"),
}


@pytest.mark.parametrize(("problem", "edit"), EDITS.items(), ids=EDITS.keys())
def test_a_report_that_was_edited_to_be_for_other_hardware_is_refused(
    problem: str, edit: Callable[[dict[str, Any]], object], for_cpus: Report
) -> None:
    content = json.loads(for_cpus.model_dump_json())
    assert Report.model_validate(content) == for_cpus
    edit(content)
    with pytest.raises(ValidationError, match=problem):
        Report.model_validate(content)


def test_a_report_from_before_profiles_is_read(make_report: MakeReport, make_result: MakeResult) -> None:
    content = json.loads(make_report([make_result()]).model_dump_json())
    del content["profile"]
    assert Report.model_validate(content).profile is None
