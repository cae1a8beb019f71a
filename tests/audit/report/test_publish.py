import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.errors import UsageError
from audit.report.document import Report
from audit.report.publish import publish_report, read_report
from audit.report.write import write_files
from audit.results import Outcome, Result

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]


@pytest.fixture
def source(tmp_path: Path, make_report: MakeReport, make_result: MakeResult) -> Path:
    """A folder with a report that can be published."""
    folder = tmp_path / "latest"
    folder.mkdir()
    write_files(make_report([make_result(), make_result(Outcome.FAILED, "area.second")]), folder)
    return folder


def edit(source: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = source / "readiness.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def refused(source: Path, destination: Path) -> str:
    """Publish, which must be refused without leaving anything, and return why."""
    with pytest.raises(UsageError) as error:
        publish_report(source, destination)
    assert not destination.exists()
    return str(error.value)


def test_a_finished_report_is_published_as_it_is_even_if_not_ready(source: Path, tmp_path: Path) -> None:
    written = publish_report(source, tmp_path / "reports")
    assert [path.name for path in written] == ["readiness.json", "readiness.md", "readiness.svg"]
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [path.name for path in written]
    for path in written[:2]:
        assert path.read_text() == (source / path.name).read_text()
    assert "readiness: not ready, coverage 100 %" in written[2].read_text()


def test_markdown_is_made_anew_from_the_json(source: Path, tmp_path: Path) -> None:
    honest = (source / "readiness.md").read_text()
    (source / "readiness.md").write_text("**Verdict: ready**")
    publish_report(source, tmp_path / "reports")
    assert (tmp_path / "reports" / "readiness.md").read_text() == honest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["provenance"].update(dirty=True), "was made from uncommitted changes"),
        (lambda d: d["provenance"].update(dirty=None), "uncommitted|not known|names no commit"),
        (lambda d: d["provenance"].update(commit=None), "names no commit"),
        (
            lambda d: d.update(partial=True, verdict=None, partial_reason="limited to --only area"),
            r"a partial report \(limited to --only area\) is not published",
        ),
        (lambda d: d.update(verdict="ready"), "not a valid report: document: .*does not follow from the results"),
        (lambda d: d.update(extra=1), "not a valid report: extra: "),
        (lambda d: d["provenance"].update(started_at="yesterday"), "not a valid report: provenance.started_at: is no"),
        (
            lambda d: d["results"][0]["subject"].update(path="../../../etc/passwd"),
            "not a valid report: results.0.subject: the path leads out of the target",
        ),
        (
            lambda d: d["results"][1].update(location={"path": "/etc/passwd"}),
            "not a valid report: results.1.location: the path leads out of the target",
        ),
        (
            lambda d: d["results"][0].update(location={"path": "zoo/net.py", "line": -5}),
            "not a valid report: results.0.location: lines are counted from 1",
        ),
        (lambda d: d["results"].pop(), "not a valid report"),
        (lambda d: d.update(command="smoke", release=False, verdict="findings"), "not a readiness report"),
        (lambda d: d.update(release=False, verdict="findings"), "not a readiness report"),
    ],
    ids=[
        "dirty",
        "not known whether dirty",
        "no commit",
        "partial",
        "edited",
        "no time",
        "a subject elsewhere",
        "a place elsewhere",
        "a line before the first",
        "unknown key",
        "removed",
        "of one area",
        "of no release",
    ],
)
def test_what_cannot_stand_there_is_refused(
    source: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(source, change)
    assert re.search(message, refused(source, tmp_path / "reports"))


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"\xff\xfe", b"{}", b'{"verdict": "ready"}'])
def test_what_is_not_a_report_is_refused(source: Path, tmp_path: Path, content: bytes) -> None:
    (source / "readiness.json").write_bytes(content)
    assert "not a valid report" in refused(source, tmp_path / "reports")


def test_a_benchmark_is_refused_with_the_command_that_shows_it(source: Path, tmp_path: Path) -> None:
    (source / "readiness.json").write_text('{"kind": "benchmark", "rows": []}')
    assert "is a benchmark; `astrobio-audit bench --from` makes its views" in refused(source, tmp_path / "reports")


def test_a_missing_report_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    message = refused(tmp_path / "empty", tmp_path / "reports")
    assert "cannot be read: No such file or directory; name a report that a command wrote as JSON" in message


def test_a_refusal_keeps_what_was_published(source: Path, tmp_path: Path) -> None:
    publish_report(source, tmp_path / "reports")
    before = {path.name: path.read_bytes() for path in (tmp_path / "reports").iterdir()}
    edit(source, lambda d: d.update(score=1.0))
    with pytest.raises(UsageError):
        publish_report(source, tmp_path / "reports")
    assert {path.name: path.read_bytes() for path in (tmp_path / "reports").iterdir()} == before


def test_publishing_in_place_changes_nothing(source: Path) -> None:
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    (badge,) = set(publish_report(source, source)) - {source / name for name in before}
    assert badge.name == "readiness.svg"
    assert {name: (source / name).read_bytes() for name in before} == before


def test_the_repositorys_own_published_report_is_valid() -> None:
    report = read_report(Path(__file__).parents[3] / "reports" / "readiness.json")
    assert not report.partial
    assert report.provenance.dirty is False
    assert report.provenance.package == "astrobio"
