import io
import re
import time
from collections.abc import Callable, Sequence

import pytest
from rich.console import Console

from audit.report.document import Baseline, Report, Unneeded
from audit.report.excused import EXCUSED
from audit.report.listing import folded
from audit.report.progress import ProgressDisplay
from audit.report.terminal import print_report
from audit.results import Comparison, Evidence, Location, Outcome, Result, Severity, Subject, SubjectKind

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
PrintWith = Callable[[str], str]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def printed(report: Report, *, terminal: bool = False) -> str:
    stream = io.StringIO()
    colour = "truecolor" if terminal else None
    print_report(report, Console(file=stream, force_terminal=terminal, color_system=colour, width=100))
    return stream.getvalue()


@pytest.fixture
def print_with(make_report: MakeReport, make_result: MakeResult) -> PrintWith:
    """Prints, in colour, a report in which every string that comes from the target is the given one."""

    def show(text: str) -> str:
        subject = Subject(kind=SubjectKind.MODEL, spec=text, module=text, path=text)
        results: Sequence[Result] = [
            make_result(
                outcome,
                f"area.{outcome.value}",
                subject=subject,
                reason=text if text.strip() else "-",
                fix=text,
                location=Location(path=text, line=3),
                evidence=Evidence(measured=text, bound=1, comparison=Comparison.EQUAL, bound_origin=text),
            )
            for outcome in (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED)
        ]
        return printed(make_report(results, package=text), terminal=True)

    return show


def test_no_string_of_the_target_reaches_the_terminal_as_a_command(print_with: PrintWith, hostile: str) -> None:
    shown = COLOUR.sub("", print_with(hostile))
    controls = set(map(chr, [*range(32), 127, *range(128, 160)])) - {"\n", "\t"}
    assert set(shown) & (controls | set("\u202e\u2066\u200e\ud800")) == set()


def test_no_string_of_the_target_adds_colour(print_with: PrintWith, hostile: str) -> None:
    assert sorted(set(COLOUR.findall(print_with(hostile)))) == sorted(set(COLOUR.findall(print_with("harmless"))))


def test_no_string_of_the_target_forges_the_verdict(print_with: PrintWith, hostile: str) -> None:
    lines = re.split(r"[\n\r]+", COLOUR.sub("", print_with(hostile)).rstrip())
    verdicts = [line for line in lines if line.startswith("verdict:")]
    assert verdicts == ["verdict: not ready   score 0 %   coverage 33.3 %"]
    assert lines[-1] == verdicts[0]
    assert not any(re.match(r"#|Verdict|passed|partial run", line) for line in lines)


def test_a_partial_reason_is_harmless(make_report: MakeReport, make_result: MakeResult, hostile: str) -> None:
    # The name after --subject is one that the target gave.
    shown = printed(make_report([make_result()], partial_reason=f"limited to --subject {hostile}"))
    controls = set(map(chr, [*range(32), 127, *range(128, 160)])) - {"\n", "\t"}
    assert set(shown) & (controls | set("\u202e\u2066\ud800")) == set()
    assert not any(line.startswith(("verdict:", "**Verdict", "# ")) for line in re.split(r"[\n\r]+", shown))


def test_square_brackets_are_shown_and_not_obeyed(make_report: MakeReport, make_result: MakeResult) -> None:
    shown = printed(make_report([make_result(Outcome.FAILED, reason="[red]x[/red]", name="[bold]")], package="[b]zoo"))
    assert "[red]x[/red]" in shown
    assert "[bold]" in shown
    assert "[b]zoo" in shown


def test_a_partial_run_says_so_in_its_first_line_and_gives_no_verdict(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    lines = printed(make_report([make_result()], partial_reason="limited to --only area")).splitlines()
    assert lines[0] == "partial run, no verdict: limited to --only area"
    assert not any("verdict:" in line for line in lines[1:])


def test_what_passed_in_a_filtered_run_is_told_without_an_empty_line(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    lines = printed(make_report([make_result()], partial_reason="limited to --only area")).splitlines()
    assert any(line.startswith("passed") for line in lines)
    assert all(line.strip() for line in lines)


@pytest.mark.parametrize(
    ("outcome", "release", "verdict"),
    [
        (Outcome.PASSED, True, "ready"),
        (Outcome.FAILED, True, "not ready"),
        (Outcome.ERROR, True, "incomplete"),
        (Outcome.PASSED, False, "clean"),
        (Outcome.FAILED, False, "findings"),
    ],
)
def test_the_last_line_is_the_verdict_with_score_and_coverage(
    make_report: MakeReport, make_result: MakeResult, outcome: Outcome, release: bool, verdict: str
) -> None:
    last = printed(make_report([make_result(outcome)], release=release)).splitlines()[-1]
    assert re.fullmatch(rf"verdict: {verdict}   score \d+ %   coverage \d+ %", last)


def test_failures_come_before_errors_before_skips(make_report: MakeReport, make_result: MakeResult) -> None:
    outcomes = (Outcome.SKIPPED, Outcome.ERROR, Outcome.FAILED)
    results = [make_result(outcome, f"area.{name}") for name, outcome in zip("abc", outcomes, strict=True)]
    listed = re.findall(r"^(failed|error|skipped) ", printed(make_report(results)), flags=re.MULTILINE)
    assert listed == ["failed", "error", "skipped"]


def test_a_long_list_says_how_many_it_leaves_out(make_report: MakeReport, make_result: MakeResult) -> None:
    shown = printed(make_report([make_result(Outcome.FAILED, name=f"model {index:02}") for index in range(43)]))
    assert "... and 3 more in the report" in shown
    assert shown.count("\nfailed ") == 40


def test_the_most_severe_failures_come_first(make_report: MakeReport, make_result: MakeResult) -> None:
    severities = (Severity.MINOR, Severity.MAJOR, Severity.CRITICAL)
    results = [
        make_result(outcome, f"area.{outcome.value}_{severity.value}", severity=severity)
        for severity in severities
        for outcome in (Outcome.ERROR, Outcome.FAILED)
    ]
    listed = re.findall(r"^(?:failed|error) +area\.(\w+)", printed(make_report(results)), flags=re.MULTILINE)
    order = [f"{outcome}_{severity.value}" for outcome in ("failed", "error") for severity in reversed(severities)]
    assert listed == order


def test_many_failures_of_one_check_in_one_file_are_one_with_the_lines(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    def found(path: str, lines: Sequence[int], **changes: str) -> list[Result]:
        subject = Subject(kind=SubjectKind.FILE, path=path)
        places = [Location(path=path, line=line) for line in lines]
        return [make_result(Outcome.FAILED, subject=subject, location=place, **changes) for place in places]

    shown = printed(make_report([*found("a.py", range(3, 10)), *found("b.py", range(5))]))
    assert shown.count("failed   area.first a.py  a.py:3") == 1
    assert "and 6 more of area.first there, at lines 4, 5, 6, 7, 8, 9\n" in shown
    assert shown.count("failed   area.first b.py") == 5
    # What is said of the whole lies in many files.
    whole = Subject(kind=SubjectKind.PACKAGE, path=".")
    places = [Location(path=f"{index}.py", line=1) for index in range(7)]
    apart = [make_result(Outcome.FAILED, subject=whole, location=place) for place in places]
    assert printed(make_report(apart)).count("failed   area.first") == 7
    # Each says who answers for it.
    assert [each.repeats for each in folded(found("a.py", range(7), waived="by Ada"))] == [()] * 7


def test_each_failing_check_is_shown_however_often_another_fails(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    many = [make_result(Outcome.FAILED, "area.often", name=f"model {index}") for index in range(60)]
    rare = [make_result(Outcome.FAILED, f"area.rare{n}", severity=Severity.MINOR) for n in range(3)]
    shown = printed(make_report([*many, *rare]))
    listed = re.findall(r"^failed +(\S+)", shown, flags=re.MULTILINE)
    assert listed == ["area.often"] * 37 + ["area.rare0", "area.rare1", "area.rare2"]
    assert "... and 23 more in the report" in shown


def test_progress_counts_failures_and_shows_no_markup_of_the_target(make_result: MakeResult) -> None:
    stream = io.StringIO()
    display = ProgressDisplay("smoke", Console(file=stream, force_terminal=True, width=120, color_system=None))
    with display:
        display.planned(3)
        display.notify("[red]\x1b[31m[/oops]\nmodel", [])
        display.notify("[red]\x1b[31m[/oops]\nmodel", [make_result(Outcome.FAILED), make_result()])
        display._progress.refresh()
    shown = stream.getvalue()
    assert "1/3" in shown
    assert "1 failed" in shown
    assert "[red]\N{REPLACEMENT CHARACTER}[31m[/oops] model" in shown
    assert "\x1b[31m" not in shown


def test_where_there_is_no_terminal_a_line_tells_now_and_then_how_far_it_is(make_result: MakeResult) -> None:
    stream = io.StringIO()
    display = ProgressDisplay("smoke", Console(file=stream, width=20, color_system=None), every_s=0.01)
    with display:
        display.planned(3)
        display.notify("[red]\x1b[31mmodel\n", [make_result(Outcome.FAILED)])
        until = time.monotonic() + 20.0
        while "1/3" not in stream.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    told = stream.getvalue().splitlines()
    assert re.fullmatch(r"smoke: 1/3, 1 failed, 0 s: \[red\]\N{REPLACEMENT CHARACTER}\[31mmodel", told[-1]), told
    time.sleep(0.05)
    assert stream.getvalue().splitlines() == told  # it ends with the run


def test_how_long_the_rest_takes_is_told_once_a_few_are_done(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    display = ProgressDisplay("smoke", Console(file=stream, width=200, color_system=None), every_s=0.01)
    display._begun -= 30.0
    display.planned(10)
    for _ in range(5):
        display.notify("model", [make_result()])
    with display:
        until = time.monotonic() + 20.0
        while "5/10" not in stream.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    assert re.match(r"smoke: 5/10, (3\d) s, some \1 s left: model", stream.getvalue())


def test_a_reason_is_no_command_of_the_ci_that_shows_the_log(make_report: MakeReport, make_result: MakeResult) -> None:
    reason = "it says\n::error file=x::forged\n  ::stop-commands::y\n##[error]z\na::b and a ##[c] within stay"
    shown = printed(make_report([make_result(Outcome.FAILED, reason=reason)]))
    assert not re.search(r"^\s*(::|##\[)", shown, flags=re.MULTILINE)
    assert ": :error file=x::forged" in shown
    assert "a::b and a ##[c] within stay" in shown


def test_a_run_that_is_over_soon_tells_nothing_where_there_is_no_terminal(make_result: MakeResult) -> None:
    stream = io.StringIO()
    with ProgressDisplay("smoke", Console(file=stream)) as display:
        display.notify("model", [make_result()])
    assert stream.getvalue() == ""


def test_a_long_reason_for_a_partial_run_stays_on_the_first_line(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    reason = "limited to " + ", ".join(f"folder{number}" for number in range(40))
    text = printed(make_report([make_result()], partial_reason=reason))
    assert text.splitlines()[0] == f"partial run, no verdict: {reason}"


def test_what_is_set_apart_is_counted_in_the_first_lines_and_not_listed(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    results = [
        make_result(Outcome.FAILED, "area.second", name="old", set_apart="in the baseline b"),
        make_result(Outcome.FAILED, "area.second", name="new"),
        make_result(),
    ]
    gone = Unneeded(check="area.second", path="a.py", qualname=None, found=0, listed=1)
    known = Baseline(source="the baseline b", set_apart=1, unneeded=(gone, gone))
    lines = printed(make_report(results, command="static", release=False, baselines=(known,))).splitlines()
    assert lines[:2] == [
        "1 failure is in the baseline b, and does not count here",
        "2 entries of the baseline b can be removed: what they list is gone (--write-baseline)",
    ]
    assert [line.split()[2] for line in lines if line.startswith("failed")] == ["new"]


def test_the_name_of_a_baseline_is_harmless(make_report: MakeReport, make_result: MakeResult, hostile: str) -> None:
    known = Baseline(source=hostile, set_apart=1)
    result = make_result(Outcome.FAILED, set_apart="known")
    text = printed(make_report([result], command="static", release=False, baselines=(known,)))
    assert sum(line.startswith("verdict:") for line in text.splitlines()) == 1
    assert "\x1b" not in text


def test_many_checks_without_a_conclusion_for_one_reason_are_one_line(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    many = [make_result(Outcome.SKIPPED, check=f"area.c{n}", reason="a file was not read") for n in range(6)]
    shown = printed(make_report(many))
    assert "skipped  6 checks of area" in shown
    assert shown.count("a file was not read") == 1
    shown = printed(make_report(many[:5]))
    assert shown.count("a file was not read") == 5
    broken = [make_result(Outcome.ERROR, check=f"area.c{n}", reason="unknown key num_head") for n in range(7)]
    shown = printed(make_report([*many, *broken]))
    assert f"error    7 checks of area {broken[0].subject.name}" in shown
    assert shown.count("unknown key num_head") == 1


def test_what_is_undeclared_is_one_line_below_the_table(make_report: MakeReport, make_result: MakeResult) -> None:
    none = Outcome.NOT_APPLICABLE
    results = [
        make_result(none, "area.forms", name="a", reason="undeclared: whether it is causal"),
        make_result(none, "area.forms", name="b", reason="undeclared: the width"),
        make_result(none, "area.cache", name="a", reason="undeclared: how its cache is called; TypeError: no"),
        make_result(none, "area.window", name="a", reason="no window is declared"),
        make_result(),
    ]
    lines = printed(make_report(results)).splitlines()
    table_end = max(index for index, line in enumerate(lines) if line.startswith("└"))
    assert lines[table_end + 1] == (
        "not judged, as undeclared: area.cache (1 subject: how its cache is called; TypeError: no), "
        "area.forms (2 subjects)"
    )
    assert "not judged" not in printed(make_report(results[3:]))


def test_what_is_undeclared_is_harmless(make_report: MakeReport, make_result: MakeResult, hostile: str) -> None:
    result = make_result(Outcome.NOT_APPLICABLE, reason=f"undeclared: how it is called; {hostile}", name=hostile or "-")
    shown = printed(make_report([result, make_result()]))
    assert sum(line.startswith("not judged") for line in shown.splitlines()) == 1
    assert sum(line.startswith("verdict:") for line in re.split(r"[\n\r]+", shown)) == 1
    assert "\x1b" not in shown


def test_mutants_that_a_comment_excuses_are_told_with_the_reason(
    make_report: MakeReport, make_result: MakeResult, hostile: str
) -> None:
    told = [
        make_result(
            Outcome.NOT_APPLICABLE,
            "tests.mutation",
            subject=Subject(kind=SubjectKind.MODULE, module="zoo.net", qualname=f"drop_scale@{line}"),
            location=Location(path="zoo/net.py", line=line),
            reason=f"{EXCUSED}{reason}",
        )
        for line, reason in ((3, "the norm undoes it"), (4, hostile))
    ]
    rest = [make_result(check=f"tests.other{n}") for n in range(20)]
    lines = printed(make_report([*told, *rest])).splitlines()
    start = lines.index("not tried, as excused by a comment: 2 mutants")
    assert lines[start + 1] == "  zoo.net:drop_scale@3  zoo/net.py:3: the norm undoes it"
    assert lines[start + 2].startswith("  zoo.net:drop_scale@4  zoo/net.py:4: ")
    assert lines[start + 3].startswith("verdict: ")
    assert "excused" not in printed(make_report(rest))
