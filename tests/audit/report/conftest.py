"""Strings that a target controls and would like to be read as something else."""

from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from audit.report.document import Baseline, Report
from audit.results import Location, Outcome, Result, Severity, Subject, SubjectKind

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
ReportOf = Callable[[str], Report]

HOSTILE = {
    "pipe": "a|b || c",
    "backticks": "`` ` ``` ~~~",
    "newline": "one\n# Verdict: ready\n\n**Verdict: ready** · score 100 %",
    "carriage return": "one\rverdict: ready\r\n## Passed",
    "separators": "one\u2028verdict: ready\u2029# x\x0b# y\x0c# z\x1c\x85# w",
    "html": "<h1>ready</h1><script>alert(1)</script><!-- x --><img src=x onerror=y>",
    "entities": "&lt;b&gt; &#42; &amp; &nbsp;",
    "ansi": "\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1H \x1b]0;title\x07 \x9b31m",
    "markup": "[red]x[/red] [bold green]verdict: ready[/] [/nope] [link=http://x.example]y[/link]",
    "link": "[click](http://x.example) ![i](http://x.example/i.png) <http://x.example> http://x.example [a]: /b",
    "control": "a\x00b\x07c\x08\x08\x7f\x9f",
    "bidi": "abc\u202egpj.exe\u202c \u2066x\u2069 \u200b\u200e\ufeff",
    "surrogate": "a\ud800b\udcff",
    "emphasis": "**Verdict: ready** __x__ ~~y~~ *z* \\*w\\* \\",
    "list": "- x\n- y\n1. z\n> q\n---\n===\n| a | b |\n|---|---|",
    "spaces": " ",
    "long": "x" * 100_000,
    "setext": "zoo\n===",
    "tabs": "\tcode\t\tblock",
}


@pytest.fixture(params=HOSTILE.values(), ids=HOSTILE.keys())
def hostile(request: pytest.FixtureRequest) -> str:
    text: str = request.param
    return text


# What breaks out of one format or another, and any text.
_HOSTILE_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.sampled_from(
        [
            "a%0Ab\n::error::x",
            "x\r\n::set-output name=a::b",
            "##[error]x",
            "a:b,c=d::e",
            "]]></failure><testcase/>",
            "<!-- &amp; \"'>",
            "[x](http://x.example)",
            "a{0}b",
            "\x00\x0b\x1b[31m\ufffe\uffff\ud800",
            "one\u2028::error::two\x85::error::three",
            "../a b/é.py",
            "http://x.example/a",
            "c:\\x",
            "//x.example/y",
            "-",
        ]
    ),
)


@pytest.fixture(scope="session")
def hostile_text() -> st.SearchStrategy[str]:
    return _HOSTILE_TEXT


@pytest.fixture(scope="session")
def report_of(make_report: MakeReport, make_result: MakeResult) -> ReportOf:
    """Makes a report with each outcome, in which every string of the target is the given text."""

    def make(text: str) -> Report:
        place = Location(path=text or "-", line=3, column=2, end_line=3, end_column=9, qualname=text)
        common = {
            "subject": Subject(kind=SubjectKind.FILE, path=text or "-"),
            "location": place,
            "reason": text if text.strip() else "-",
            "fix": text,
        }
        results = [
            make_result(check="area.first"),
            make_result(Outcome.FAILED, "area.second", severity=Severity.MINOR, fingerprint="0" * 32, **common),
            make_result(Outcome.FAILED, "area.third", fingerprint="1" * 32, set_apart="in the baseline", **common),
            make_result(Outcome.ERROR, "area.fourth", **common),
            make_result(Outcome.SKIPPED, "area.fifth", **common),
            make_result(Outcome.NOT_APPLICABLE, "area.sixth", **common),
        ]
        baseline = Baseline(source=text, set_apart=1)
        return make_report(results, package=text, command="static", release=False, baselines=(baseline,))

    return make
