import json
from pathlib import Path

import pytest

from audit.errors import UsageError
from audit.results import Location, Outcome, Result, Severity, Subject, SubjectKind
from audit.static.baseline import compare, counted, read_baseline, scope_of, write_baseline


def failure(name: str = "a", check: str = "rules.sec001", line: int = 1, path: str = "zoo/a.py") -> Result:
    return Result(
        check=check,
        outcome=Outcome.FAILED,
        reason="wrong",
        severity=Severity.CRITICAL,
        subject=Subject(kind=SubjectKind.FILE, path=path),
        location=Location(path=path, line=line),
        fingerprint=f"{ord(name):032x}",
    )


def written(path: Path, results: list[Result]) -> Path:
    write_baseline(path, results, scope_of(results, lambda path: True))
    return path


def test_a_new_baseline_holds_what_is_failed_sorted_and_without_line_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "b.json", [failure("b"), failure("a", line=3), failure("a", line=9)])
    document = json.loads(path.read_text())
    assert [(entry["fingerprint"][-2:], entry["count"]) for entry in document["entries"]] == [("61", 2), ("62", 1)]
    assert "line" not in path.read_text()
    assert (
        written(tmp_path / "c.json", [failure("a", line=1), failure("b"), failure("a")]).read_text() == path.read_text()
    )


def test_what_is_in_the_baseline_stays_failed_and_is_set_apart(tmp_path: Path) -> None:
    known = read_baseline(written(tmp_path / "b.json", [failure("a")]))
    results = [failure("a", line=40), failure("b")]
    marked, row = compare(results, known, source="the baseline b.json", scope=scope_of(results, lambda path: True))
    assert [(each.outcome, each.set_apart) for each in marked] == [
        (Outcome.FAILED, None),
        (Outcome.FAILED, "in the baseline b.json"),
    ]
    assert (row.set_apart, row.unneeded) == (1, ())


def test_one_more_of_the_same_is_new(tmp_path: Path) -> None:
    known = read_baseline(written(tmp_path / "b.json", [failure("a")]))
    results = [failure("a", line=1), failure("a", line=2)]
    marked, _ = compare(results, known, source="the baseline b.json", scope=scope_of(results, lambda path: True))
    assert [each.set_apart is None for each in marked] == [False, True]


def test_what_is_gone_can_be_removed_and_is_removed(tmp_path: Path) -> None:
    path = written(tmp_path / "b.json", [failure("a"), failure("a"), failure("b")])
    left = [failure("a")]
    _, row = compare(left, read_baseline(path), source="b", scope=scope_of(left, lambda path: True))
    assert [(each.found, each.listed) for each in row.unneeded] == [(1, 2), (0, 1)]
    assert read_baseline(written(path, left)) == counted(left)


def test_a_baseline_does_not_grow(tmp_path: Path) -> None:
    path = written(tmp_path / "b.json", [failure("a")])
    before = path.read_bytes()
    with pytest.raises(UsageError, match="2 findings are not in it, and a baseline only shrinks"):
        written(path, [failure("b"), failure("c")])
    with pytest.raises(UsageError, match="1 finding is not in it"):
        written(path, [failure("a"), failure("a")])
    assert path.read_bytes() == before


def test_a_run_says_nothing_about_paths_checks_and_files_that_it_did_not_judge(tmp_path: Path) -> None:
    listed = [
        failure("a", path="tests/a.py"),
        failure("b", check="rules.sec002"),
        failure("c", check="rules.sec003"),
        failure("d", path="zoo/broken.py"),
    ]
    known = read_baseline(written(tmp_path / "b.json", listed))
    unjudged = failure().model_copy(update={"check": "rules.sec003", "outcome": Outcome.ERROR})
    broken = failure("e", check="static.parses", path="zoo/broken.py")
    results = [failure("x"), unjudged, broken]
    scope = scope_of(results, lambda path: path.startswith("zoo/"))
    _, row = compare(results, known, source="the baseline b.json", scope=scope)
    assert row.unneeded == ()
    path = tmp_path / "b.json"
    write_baseline(path, [failure("a", path="tests/a.py")], scope)
    assert read_baseline(path) == known


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not a baseline"),
        (b"[]", "not a baseline"),
        (b'{"version": 2, "entries": []}', "not a baseline: version"),
        (b'{"version": 1, "entries": [{"path": "a"}]}', "not a baseline: entries.0.check"),
        (
            b'{"version": 1, "entries": [{"path": "a", "check": "b", "fingerprint": "zz", "count": 1}]}',
            "entries.0.fingerprint",
        ),
        (b"\xff", "not a baseline"),
    ],
)
def test_what_is_no_baseline_is_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "b.json").write_bytes(content)
    with pytest.raises(UsageError, match=expected):
        read_baseline(tmp_path / "b.json")


def test_a_missing_baseline_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file or directory; write one by --write-baseline"):
        read_baseline(tmp_path / "b.json")
