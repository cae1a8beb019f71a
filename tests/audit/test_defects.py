"""Defects in results and reports, and the step at the end of a group in which they are found."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from audit.report.document import Report
from audit.results import Defect, Explained, Outcome, Result, SubjectKind

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
ID = "zoo/attention.py::attention::scale_size"


def defect(**changes: Any) -> Defect:
    given: dict[str, Any] = {
        "id": ID,
        "bug": "scale_size",
        "title": "Scale taken from the wrong size",
        "subject": {"kind": SubjectKind.ATTENTION, "spec": "attention"},
        "checks": ("area.one", "area.two"),
        "explanation": "the scale is 0.2",
        "why": "too flat",
        "fix": "scale by 1/sqrt(head_dim)",
        "reproducer": {"file": "a.py", "script": "print(1)\n", "case": "one token", "measured": 1.0, "bound": 0.1},
    }
    return Defect.model_validate(given | changes)


def failures(make_result: MakeResult, *checks: str, of: str = ID) -> list[Result]:
    return [
        make_result(Outcome.FAILED, check).model_copy(update={"defect": Explained(id=of, how="shows it")})
        for check in checks
    ]


def with_defects(report: Report, defects: Sequence[Defect]) -> Report:
    return Report.model_validate(report.model_dump() | {"defects": [each.model_dump() for each in defects]})


def test_only_a_failure_comes_from_a_defect(make_result: MakeResult) -> None:
    passed = make_result(Outcome.PASSED).model_dump()
    with pytest.raises(ValidationError, match="only a failure comes from a defect"):
        Result.model_validate(passed | {"defect": {"id": ID, "how": "shows it"}})


@pytest.mark.parametrize("changes", [{"reproducer": None}, {"unreproduced": "too large"}])
def test_a_defect_has_a_script_or_says_why_not(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="has a reproducer, or says why it has none"):
        defect(**changes)


@pytest.mark.parametrize("file", ["../a.py", "a/b.py", "/etc/a.py", "a.txt", "a.py\n"])
def test_a_script_stays_in_its_folder(file: str) -> None:
    with pytest.raises(ValidationError, match="file"):
        defect(reproducer={"file": file, "script": "", "case": "", "measured": 1.0, "bound": 0.0})


def test_a_report_lists_the_defects_that_its_results_name(make_report: MakeReport, make_result: MakeResult) -> None:
    results = failures(make_result, "area.one", "area.two")
    report = make_report(results, defects=[defect()])
    assert Report.model_validate_json(report.model_dump_json()) == report
    with pytest.raises(ValidationError, match="name other defects"):
        with_defects(report, [])
    with pytest.raises(ValidationError, match="two defects have one id"):
        with_defects(report, [defect(), defect()])


def test_a_defect_that_no_result_names_is_refused(make_report: MakeReport, make_result: MakeResult) -> None:
    with pytest.raises(ValidationError, match="name other defects"):
        make_report(failures(make_result, "area.one"), defects=[defect()])
