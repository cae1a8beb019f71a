from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.results import Location, Outcome, Result, Severity, Subject, SubjectKind
from audit.static.fingerprints import fingerprint, source_lines, with_fingerprints

Tree = Callable[[Mapping[str, str | bytes]], Path]


def failure(path: str = "a.py", line: int = 1, check: str = "rules.sec001", qualname: str | None = None) -> Result:
    return Result(
        check=check,
        outcome=Outcome.FAILED,
        reason="wrong",
        severity=Severity.MINOR,
        subject=Subject(kind=SubjectKind.FILE, path=path),
        location=Location(path=path, line=line, qualname=qualname),
    )


def of(result: Result, root: Path) -> str | None:
    return with_fingerprints([result], root)[0].fingerprint


def test_lines_added_above_and_other_spacing_change_nothing(tree: Tree) -> None:
    root = tree({"a.py": "def f():\n    return load('x', 1)\n"})
    before = of(failure(line=2), root)
    tree({"a.py": "import os\n\n\ndef f():\n\n        return load( 'x',1 )\n"})
    assert before is not None
    assert of(failure(line=6), root) == before


@pytest.mark.parametrize(
    "other",
    [
        failure(line=2),
        failure(path="b.py"),
        failure(check="rules.sec002"),
        failure(qualname="f"),
    ],
    ids=["line", "path", "check", "qualname"],
)
def test_another_line_path_check_or_name_is_another_finding(tree: Tree, other: Result) -> None:
    root = tree({"a.py": "load(1)\nload(2)\n", "b.py": "load(1)\n"})
    assert of(other, root) != of(failure(), root)


def test_only_failures_of_static_checks_have_one(tree: Tree) -> None:
    root = tree({"a.py": "x = 1\n"})
    others = [failure(check="smoke.builds"), failure().model_copy(update={"location": None})]
    assert [result.fingerprint for result in with_fingerprints(others, root)] == [None, None]


def test_the_line_itself_is_in_no_fingerprint_as_it_may_hold_a_secret(tree: Tree) -> None:
    root = tree({"a.py": "token = 'ghp_0123456789'\n"})
    assert "ghp" not in (of(failure(), root) or "ghp")


def test_a_file_in_another_encoding_or_with_other_line_ends_has_its_lines(tree: Tree) -> None:
    root = tree({"a.py": "# coding: latin-1\r\nname = 'é'\r\n".encode("latin-1"), "b.py": b"a = 1\rb = 2\r"})
    assert source_lines(root / "a.py")[1] == "name = 'é'"
    assert source_lines(root / "b.py")[1] == "b = 2"


def test_a_file_that_cannot_be_read_still_gives_a_fingerprint(tree: Tree) -> None:
    root = tree({"a.py": b"# coding: nonsense\n\xff\xfe"})
    assert of(failure(line=2), root)
    assert of(failure(path="absent.py"), root)
    assert of(failure(path="a\0b.py"), root)


@given(st.text(), st.text(), st.integers(0, 3))
@settings(deadline=None)
def test_any_text_has_a_fingerprint_of_32_digits(path: str, line: str, number: int) -> None:
    found = fingerprint("rules.sec001", Location(path=path, line=number), [line])
    assert len(found) == 32
    assert int(found, 16) >= 0
