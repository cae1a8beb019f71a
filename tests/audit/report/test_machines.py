from collections.abc import Callable

import pytest
from pydantic import ValidationError

from audit.report.document import Machine, Part, Report
from audit.report.machines import machine_rows
from audit.report.markdown import render_markdown
from audit.results import Evidence, Outcome, Result

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
BOX = Machine(name="ssh=box|<b>", python="3.12.1", torch=None, platform="Linux 6", machine="x86_64", environment=None)


def measured_on(machine: str) -> Evidence:
    return Evidence(machine=machine)


def test_a_report_of_several_machines_says_what_each_is(make_report: MakeReport, make_result: MakeResult) -> None:
    results = [make_result(Outcome.FAILED, name=name, evidence=measured_on(BOX.name)) for name in "ab"]
    report = make_report(results, machines=[BOX])
    assert machine_rows(report) == {
        "measured on ssh=box|<b>": "2 results; Linux 6, x86_64; target's interpreter not asked"
    }
    assert "<b>" not in render_markdown(report)
    assert "2 results; Linux 6" in render_markdown(report)


def test_evidence_names_only_machines_that_the_report_lists(make_report: MakeReport, make_result: MakeResult) -> None:
    result = make_result(Outcome.FAILED, evidence=measured_on("elsewhere"))
    with pytest.raises(ValidationError, match="does not list: elsewhere"):
        make_report([result], machines=[BOX])
    with pytest.raises(ValidationError, match="two machines have one name"):
        make_report([make_result()], machines=[BOX, BOX])


def test_a_part_has_no_verdict(make_report: MakeReport, make_result: MakeResult) -> None:
    part = Part(plan="sha256:0", label="shard 1/2", groups=("model:m",))
    with pytest.raises(ValidationError, match="a report on a part of a plan is partial"):
        make_report([make_result()], part=part)
    assert make_report([make_result()], part=part, partial_reason="part").verdict is None


@pytest.mark.parametrize(("version", "is_read"), [("1.0", True), ("1.1", True), ("1.2", False)])
def test_reports_of_the_version_before_are_read(version: str, is_read: bool, make_report: MakeReport) -> None:
    content = make_report([]).model_dump(mode="json")
    if version == "1.0":
        content = {key: value for key, value in content.items() if key not in ("part", "machines")}
    content["schema_version"] = version
    if is_read:
        assert Report.model_validate(content).schema_version == version
    else:
        with pytest.raises(ValidationError, match="schema_version"):
            Report.model_validate(content)
