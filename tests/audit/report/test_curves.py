import io
import math
from collections.abc import Callable

from rich.console import Console

from audit.report.curves import curve_lines, curves_section, drawn, spark_line
from audit.report.document import Report
from audit.report.markdown import render_markdown
from audit.report.terminal import print_report
from audit.results import Evidence, Outcome, Result, Series, Subject, SubjectKind

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]


def series(*values: float, name: str = "loss") -> Series:
    return Series(name=name, x_name="step", x=tuple(map(float, range(1, len(values) + 1))), y=values)


def with_series(result: Result, *curves: Series, subject: str = "net") -> Result:
    named = Subject(kind=SubjectKind.MODEL, spec=subject)
    return result.model_copy(
        update={"subject": named, "evidence": result.evidence.model_copy(update={"series": curves})}
    )


def test_the_highest_value_is_a_whole_block_and_the_lowest_the_flattest() -> None:
    assert spark_line(series(4.0, 2.0, 0.0, 3.9)) == "█▅▁█"


def test_a_flat_curve_is_drawn_flat() -> None:
    assert spark_line(series(2.0, 2.0, 2.0)) == "▁▁▁"


def test_what_is_not_finite_is_seen() -> None:
    assert spark_line(series(1.0, math.nan, 0.0)) == "█x▁"
    assert spark_line(Series(name="loss", x_name="step", x=(1.0,), y=("Infinity",))) == "x"


def test_many_values_are_drawn_as_means_of_neighbours() -> None:
    assert spark_line(series(*[1.0] * 100, *[0.0] * 100), width=4) == "██▁▁"


def test_the_curve_is_in_the_terminal_and_in_markdown_with_its_ends(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    report = make_report([with_series(make_result(check="train.run"), series(3.0, 1.0, 0.5))])
    out = io.StringIO()
    print_report(report, Console(file=out, width=120))
    assert "net  loss  █▂▁  3 to 0.5, step 1 to 3" in out.getvalue()
    assert "| `net` | `loss` | `█▂▁` | `3 to 0.5, step 1 to 3` |" in render_markdown(report)


def test_a_curve_that_several_checks_carry_is_drawn_once(make_report: MakeReport, make_result: MakeResult) -> None:
    results = [with_series(make_result(check=check), series(1.0, 0.0)) for check in ("train.learns", "train.run")]
    assert len(curve_lines(make_report(results))) == 1


def test_a_training_is_drawn_and_not_what_smoke_ran_of_the_same_model(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    checks = {"smoke.overfits": series(3.0, 2.0), "train.run": series(3.0, 0.1)}
    report = make_report([with_series(make_result(check=check), curve) for check, curve in checks.items()])
    assert [result.check for result, _ in drawn(report)] == ["train.run"]


def test_of_other_passes_no_curve_is_drawn_in_the_terminal(make_report: MakeReport, make_result: MakeResult) -> None:
    passed = with_series(make_result(check="smoke.overfits"), series(1.0, 0.0))
    assert curve_lines(make_report([passed])) == []
    assert len(list(drawn(make_report([passed])))) == 1
    failed = with_series(make_result(Outcome.FAILED, check="smoke.overfits"), series(1.0, 0.0))
    assert len(curve_lines(make_report([failed]))) == 1


def test_a_report_without_curves_has_no_section(make_report: MakeReport, make_result: MakeResult) -> None:
    assert curves_section(make_report([make_result(check="train.run")])) == ""
    assert Evidence().series == ()


def test_a_hostile_name_does_not_leave_its_cell(make_report: MakeReport, make_result: MakeResult, hostile: str) -> None:
    result = with_series(make_result(check="train.run"), series(1.0, 0.0, name=f"loss{hostile}"), subject=hostile)
    report = make_report([result])
    (line,) = curve_lines(report)
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(curves_section(report).splitlines()) == 7
