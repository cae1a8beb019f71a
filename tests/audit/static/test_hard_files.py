"""Files that are hard to read, all in one tree: each has a result, and what can be read beside them is."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static import reading
from audit.static.analysis import StaticAnalysis, analyse
from audit.static.imports.forecast import forecast
from audit.target import Target

Tree = Callable[[Mapping[str, str | bytes]], Path]

NET = "from torch import nn\nclass Net(nn.Module):\n    pass\n"
DEEP_BLOCKS = "".join(" " * depth + "if x:\n" for depth in range(1000)) + " " * 1000 + "pass\n"
# By name: what is in the file, and a part of the reason for which it is not read; None where it is.
HARD: Mapping[str, tuple[str | bytes, str | None]] = {
    "plain": (NET, None),
    "bom": (b"\xef\xbb\xbf" + NET.encode(), None),
    "crlf": (NET.replace("\n", "\r\n"), None),
    "old_mac": (NET.replace("\n", "\r"), None),
    "form_feed": ("\f" + NET, None),
    "latin_1_cookie": (f"# -*- coding: latin-1 -*-\n# \xe9\n{NET}".encode("latin-1"), None),
    "cookie_on_line_two": (
        f"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n# \x80\n{NET}".encode("latin-1"),
        None,
    ),
    "latin_1": (f"# \xe9\n{NET}".encode("latin-1"), "not utf-8"),
    "cookie_too_late": (f"x = 1\n\n# coding: latin-1\n# \xe9\n{NET}".encode("latin-1"), "not utf-8"),
    "bom_and_cookie": (b"\xef\xbb\xbf# coding: latin-1\n", "cannot be decoded"),
    "utf_16": (NET.encode("utf-16"), "null byte"),
    "null": (b"x = 1\0\n", "null byte"),
    "deep_parentheses": ("(" * 1000 + ")" * 1000, "syntax error"),
    "deep_blocks": (DEEP_BLOCKS, "too many levels of indentation"),
    "deep_attributes": ("x = " + "a." * 1000 + "b", None),
    "deep_calls": ("x = a" + "()" * 1000, None),
    "deep_sums": ("x = " + "1 + " * 1000 + "1", None),
    "deep_strings": ("x = f'" + "{f'" * 200 + "'}" * 200 + "'", "syntax error"),
    "deep_lambdas": ("x = " + "lambda: " * 1000 + "1", None),
    "python_2": ("print 'a'\n", "is Python 2 (print statement)"),
    "half": (NET[:-8], "syntax error"),
    "empty": ("", None),
}
_MAY_BE_TOO_DEEP = {"deep_attributes", "deep_calls", "deep_sums", "deep_lambdas"}  # for one Python or another


def analysed(root: Path, files: Mapping[str, tuple[str | bytes, str | None]]) -> StaticAnalysis:
    found = analyse(root, root / "pack")
    target = Target.load(root, package="pack")
    rows = forecast(found, target)
    assert rows is not None
    assert {row.path for row in rows} == {file.relative for file in found.files}
    assert len(found.files) == len(files) + 1
    return found


@pytest.fixture
def hard(tree: Tree) -> StaticAnalysis:
    root = tree({"pack/__init__.py": "", **{f"pack/{name}.py": content for name, (content, _) in HARD.items()}})
    return analysed(root, HARD)


def test_each_hard_file_has_its_result(hard: StaticAnalysis) -> None:
    reasons = {Path(file.path).stem: file.reason for file in hard.unreadable}
    for name, (_, reason) in HARD.items():
        if reason:
            assert reason in reasons[name] or "nested too deeply" in reasons[name], name
        elif name not in _MAY_BE_TOO_DEEP:
            assert name not in reasons, reasons[name]
        elif name in reasons:
            assert "nested too deeply" in reasons[name]


def test_the_models_of_every_file_that_can_be_read_are_found(hard: StaticAnalysis) -> None:
    readable = {name for name, (content, reason) in HARD.items() if not reason and b"Net" in _bytes(content)}
    assert {Path(item.path).stem for item in hard.models} == readable


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def test_a_file_of_50_mb_is_told_by_its_size_and_not_opened(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree({"pack/__init__.py": "", "pack/ok.py": NET})
    with (root / "pack/large.py").open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    read_bytes = Path.read_bytes
    opened: list[str] = []
    monkeypatch.setattr(Path, "read_bytes", lambda path: (opened.append(path.name), read_bytes(path))[1])
    found = analyse(root, root / "pack")
    (large,) = found.unreadable
    assert large.reason == f"{50 * 1024 * 1024} bytes, more than the limit of {reading.MAX_BYTES}"
    assert "large.py" not in opened
    assert "ok.py" in opened


def test_a_file_without_permission_is_a_result(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree({"pack/__init__.py": "", "pack/locked.py": NET, "pack/ok.py": NET})
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:  # file modes do not stop the root user
        if path.name == "locked.py":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    found = analyse(root, root / "pack")
    assert [(file.path, file.reason) for file in found.unreadable] == [
        ("pack/locked.py", "cannot be read: Permission denied")
    ]
    assert [item.path for item in found.models] == ["pack/ok.py"]


def test_loops_of_links_and_nested_ignore_files_together(tree: Tree) -> None:
    root = tree(
        {
            ".git/HEAD": "",
            ".gitignore": "*_pb2.py\n",
            "pack/__init__.py": "",
            "pack/.gitignore": "gen/\n!kept_pb2.py\n",
            "pack/a_pb2.py": NET,
            "pack/kept_pb2.py": NET,
            "pack/gen/b.py": NET,
            "pack/deep/c.py": NET,
            "pack/deep/.gitignore": "/d.py\n",
            "pack/deep/d.py": NET,
        }
    )
    (root / "pack/deep/up").symlink_to(root / "pack")
    (root / "pack/one").symlink_to(root / "pack/two")
    (root / "pack/two").symlink_to(root / "pack/one")
    found = analyse(root, root / "pack")
    assert [item.path for item in found.models] == ["pack/deep/c.py", "pack/kept_pb2.py"]
    assert {tree.relative: tree.python_files for tree in found.skipped_trees} == {
        "pack/a_pb2.py": 1,
        "pack/deep/d.py": 1,
        "pack/deep/up": None,
        "pack/gen": 1,
    }


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this interpreter takes it")
def test_a_file_that_needs_a_newer_python_says_which_in_the_result_and_in_the_forecast(tree: Tree) -> None:
    root = tree({"pack/__init__.py": "", "pack/new.py": "type Pair[T] = tuple[T, T]\n"})
    found = analyse(root, root / "pack")
    assert "needs Python >= 3.12 (type statement, type parameters)" in found.unreadable[0].reason
    rows = {row.module: row for row in forecast(found, Target.load(root, package="pack")) or ()}
    root_of_it = rows["pack.new"].root
    assert root_of_it
    assert root_of_it.name == "needs Python >= 3.12 (type statement, type parameters)"
