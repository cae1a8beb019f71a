import os
from collections.abc import Callable, Iterator
from pathlib import Path

from audit.errors import UsageError
from audit.report.document import Report
from audit.results import Location, Outcome, Result
from audit.static.watching import Watched, watch

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]


def touch(path: Path, text: str = "x = 1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_new_changed_and_deleted_files_are_seen_once(tmp_path: Path) -> None:
    touch(tmp_path / "zoo" / "a.py")
    watched = Watched(tmp_path)
    assert watched.look() == ["zoo/a.py"]
    assert watched.look() == []
    touch(tmp_path / "zoo" / "a.py")
    touch(tmp_path / "zoo" / "deep" / "b.py")
    touch(tmp_path / "pyproject.toml", "")
    assert watched.look() == ["pyproject.toml", "zoo/a.py", "zoo/deep/b.py"]
    (tmp_path / "zoo" / "a.py").unlink()
    assert watched.look() == ["zoo/a.py"]


def test_what_no_analysis_reads_is_not_watched(tmp_path: Path) -> None:
    touch(tmp_path / "a.py")
    watched = Watched(tmp_path)
    watched.look()
    for name in ("notes.md", "__pycache__/a.py", ".git/x.py", ".venv/lib/b.py", "data/a.csv"):
        touch(tmp_path / name)
    assert watched.look() == []


def test_each_run_is_a_line_and_each_finding_that_comes_or_goes_another(
    tmp_path: Path, make_report: MakeReport, make_result: MakeResult
) -> None:
    def failed(path: str, line: int) -> Result:
        return make_result(Outcome.FAILED, location=Location(path=path, line=line), reason="wrong")

    def report(*results: Result) -> Report:
        return make_report([make_result(check="area.second"), *results], command="static", release=False)

    reports: Iterator[Report | UsageError] = iter(
        [report(failed("a.py", 3)), report(failed("a.py", 9), failed("b.py", 1)), UsageError("broken"), report()]
    )

    def run() -> Report:
        found = next(reports)
        if isinstance(found, UsageError):
            raise found
        return found

    rounds = 0

    def wait(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds > 4:
            raise KeyboardInterrupt
        if rounds != 2:  # nothing changes in the second round, and nothing is run
            touch(tmp_path / "a.py")

    shown: list[Report] = []
    lines: list[str] = []
    assert watch(run, tmp_path, show=shown.append, say=lines.append, wait=wait) == 0
    assert len(shown) == 1
    assert [line[9:] if line[0] != " " else line for line in lines[1:]] == [
        "a.py: 2 failures",
        "  + area.first b.py wrong",
        "a.py: broken",
        "a.py: 0 failures",
        "  - area.first a.py wrong",
        "  - area.first b.py wrong",
    ]


def test_the_exit_code_is_that_of_the_last_run(
    tmp_path: Path, make_report: MakeReport, make_result: MakeResult
) -> None:
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    failing = make_report([make_result(Outcome.FAILED)], command="static", release=False)
    assert watch(lambda: failing, tmp_path, show=lambda report: None, say=lambda line: None, wait=stop) == 1
    cut_short = make_report([make_result()], partial_reason="stopped", interrupted=True)
    assert watch(lambda: cut_short, tmp_path, show=lambda report: None, say=lambda line: None, wait=stop) == 3
