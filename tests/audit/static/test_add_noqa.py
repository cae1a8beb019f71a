import ast
import io
import tokenize
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.report.document import Report
from audit.results import Location, Outcome, Result, Severity, Subject, SubjectKind
from audit.static.add_noqa import Spot, add_noqa, silenced_text
from audit.static.reading import sha256
from audit.static.rules.suppress import noqa_comments, silencing
from audit.static.tree import TreeIndex


def silenced(text: str, *lines: int | tuple[int, int], rule: str = "SEC001") -> str:
    spots = [Spot(rule, *(line if isinstance(line, tuple) else (line, line))) for line in lines]
    new, left = silenced_text(text, spots)
    assert left == []
    return new


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("f()\n", "f()  # noqa: SEC001\n"),
        ("f()", "f()  # noqa: SEC001"),
        ("f()   \n", "f()  # noqa: SEC001\n"),
        ("f()\r\ng()\r\n", "f()  # noqa: SEC001\r\ng()\r\n"),
        ("f()  # a reason\n", "f()  # a reason  # noqa: SEC001\n"),
        ("f()  # noqa: E501\n", "f()  # noqa: E501, SEC001\n"),
        ("f()  # noqa: E501 too long\n", "f()  # noqa: E501, SEC001 too long\n"),
        ("f()  # NOQA:E501,F401 # x\n", "f()  # NOQA:E501,F401, SEC001 # x\n"),
        ("f()  # noqa: SEC001\n", "f()  # noqa: SEC001\n"),
        ("f()  # noqa: for a reason\n", "f()  # noqa: SEC001 for a reason\n"),
        ("f('# noqa')\n", "f('# noqa')  # noqa: SEC001\n"),
        ("f()  # type: ignore\n", "f()  # type: ignore  # noqa: SEC001\n"),
        ("\ufefff()\n", "\ufefff()  # noqa: SEC001\n"),
    ],
)
def test_the_comment_stands_behind_the_line_and_joins_one_that_is_there(before: str, after: str) -> None:
    if before.startswith("\ufeff"):  # a byte order mark is no part of the text
        before, after = before[1:], after[1:]
    assert silenced(before, 1) == after


def test_several_rules_on_a_line_share_a_comment_in_order() -> None:
    new, left = silenced_text("f()\n", [Spot("TRN001", 1, 1), Spot("SEC001", 1, 1), Spot("SEC001", 1, 1)])
    assert (new, left) == ("f()  # noqa: SEC001, TRN001\n", [])


@pytest.mark.parametrize(
    ("text", "lines", "line"),
    [
        ("f('''a\nb''', 1)\n", (1, 2), 2),
        ("f(f'''a\n{x}\nb''', 1)\n", (1, 3), 3),
        ("f(f'''{\nx}''')\n", (1, 2), 2),
        ("x = 1 + \\\n    f()\n", (1, 2), 2),
        ("f(\n    1,\n)\n", (1, 3), 1),
        ("f('a' \\\n  'b')\n", (1, 2), 2),
    ],
)
def test_a_line_that_ends_in_a_string_or_goes_on_takes_no_comment(text: str, lines: tuple[int, int], line: int) -> None:
    new = silenced(text, lines)
    assert [number for number, each in enumerate(new.splitlines(), 1) if "noqa" in each] == [line]


def test_what_no_comment_reaches_is_told_and_nothing_is_changed() -> None:
    for text, spot in [
        ("x = '''\nsecret\n'''\n", Spot("SEC006", 2, 2)),
        ("x = f() + \\\n    1\n", Spot("SEC001", 1, 1)),
    ]:
        assert silenced_text(text, [spot]) == (text, [spot])


def test_a_backslash_at_the_end_of_a_comment_continues_nothing() -> None:
    assert silenced("f()  # a \\\ng()\n", 1) == "f()  # a \\  # noqa: SEC001\ng()\n"


def test_a_file_whose_strings_python_warns_of_is_no_reason_to_warn() -> None:
    assert silenced("f('\\d')\n", 1) == "f('\\d')  # noqa: SEC001\n"


def test_text_that_the_tokenizer_does_not_take_stays() -> None:
    spot = Spot("SEC001", 1, 1)
    assert silenced_text("f(\n", [spot]) == ("f(\n", [spot])


PIECES = st.sampled_from(
    ["f()", "f('''a", "b''')", "x = 1 + \\", "    1", "# c", "# noqa", "# noqa: E501", "f(", ")", "", "s = '# noqa'"]
)


@given(st.lists(PIECES, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]), st.data())
def test_whatever_the_text_it_means_the_same_and_each_finding_is_silenced_or_told(
    pieces: list[str], end: str, data: st.DataObject
) -> None:
    text = end.join(pieces)
    number = len(pieces)
    first = data.draw(st.integers(1, number))
    spot = Spot("SEC001", first, data.draw(st.integers(first, number)))
    new, left = silenced_text(text, [spot])
    try:
        expected = ast.dump(ast.parse(text))
    except SyntaxError:
        assert new == text
        return
    assert ast.dump(ast.parse(new)) == expected
    comments = noqa_comments(new, TreeIndex(ast.parse(new)))
    assert bool(silencing(comments, ("SEC001",), first=spot.first, last=spot.last)) is (not left)
    assert silenced_text(new, [spot])[0] == new
    assert new.count("\r") == text.count("\r")


def finding(root: Path, path: str, line: int = 1, check: str = "rules.sec001", **changes: object) -> Result:
    return Result(
        check=check,
        outcome=Outcome.FAILED,
        reason="wrong",
        severity=Severity.MINOR,
        subject=Subject(kind=SubjectKind.FILE, path=path, digest=sha256((root / path).read_bytes())),
        location=Location(path=path, line=line),
        **changes,  # type: ignore[arg-type]
    )


def report_of(*results: Result) -> Report:
    return Report.model_construct(results=results)


def test_encoding_permissions_and_links_are_kept(tmp_path: Path) -> None:
    content = "# coding: latin-1\nf('é')\n".encode("latin-1")
    (tmp_path / "a.py").write_bytes(content)
    (tmp_path / "a.py").chmod(0o755)
    (tmp_path / "link.py").symlink_to("a.py")
    (tmp_path / "bom.py").write_bytes(b"\xef\xbb\xbff()\n")
    done = add_noqa(report_of(finding(tmp_path, "link.py", 2), finding(tmp_path, "bom.py")), tmp_path)
    assert (done.findings, done.files, done.left) == (2, 2, [])
    assert (tmp_path / "a.py").read_bytes() == "# coding: latin-1\nf('é')  # noqa: SEC001\n".encode("latin-1")
    assert (tmp_path / "a.py").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "link.py").is_symlink()
    assert (tmp_path / "bom.py").read_bytes() == b"\xef\xbb\xbff()  # noqa: SEC001\n"
    with (tmp_path / "bom.py").open("rb") as file:
        assert tokenize.detect_encoding(io.BytesIO(file.read()).readline)[0] == "utf-8-sig"


def test_a_read_only_file_stays_and_is_told(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("f()\n")
    (tmp_path / "a.py").chmod(0o444)
    done = add_noqa(report_of(finding(tmp_path, "a.py"), finding(tmp_path, "b.py")), tmp_path)
    assert (done.findings, done.files, done.left) == (1, 1, [f"{tmp_path / 'a.py'}: is read-only; it is unchanged"])
    assert (tmp_path / "a.py").read_text() == "f()\n"


def test_only_findings_of_rules_that_count_are_silenced(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("f()\n")
    results = [
        finding(tmp_path, "a.py", check="static.imports"),
        finding(tmp_path, "a.py", check="rules.sup001"),
        finding(tmp_path, "a.py", set_apart="in the baseline"),
    ]
    assert add_noqa(report_of(*results), tmp_path).findings == 0
    assert (tmp_path / "a.py").read_text() == "f()\n"


def test_a_notebook_is_left_for_its_format_has_no_comments(tmp_path: Path) -> None:
    content = b'{"cells": [\n"f()"\n]}\n'
    (tmp_path / "a.ipynb").write_bytes(content)
    done = add_noqa(report_of(finding(tmp_path, "a.ipynb", 2)), tmp_path)
    assert (done.findings, done.left) == (0, ["a.ipynb: not a Python file, which `# noqa` is for"])
    assert (tmp_path / "a.ipynb").read_bytes() == content


def test_a_file_that_changed_since_and_a_link_out_of_the_root_are_left(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.py").write_text("f()\n")
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    (root / "a.py").write_text("f()\n")
    results = [finding(root, "a.py"), finding(root, "link.py")]
    (root / "a.py").write_text("g()\n")
    done = add_noqa(report_of(*results), root)
    assert (done.findings, len(done.left)) == (0, 2)
    assert (tmp_path / "outside.py").read_text() == "f()\n"
    assert (root / "a.py").read_text() == "g()\n"
