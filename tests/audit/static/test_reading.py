import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit.static import reading
from audit.static.discovery import SourceFile
from audit.static.names import FileSummary
from audit.static.reading import UnreadableFile
from audit.static.summary import names_in as summarise

Tree = Callable[[Mapping[str, str | bytes]], Path]


def summary_of(root: Path, content: str | bytes) -> FileSummary | UnreadableFile:
    path = root / "m.py"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return summarise(SourceFile(path=path, relative="m.py", module="m"))


def unreadable(root: Path, content: str | bytes) -> UnreadableFile:
    result = summary_of(root, content)
    assert isinstance(result, UnreadableFile)
    return result


def test_a_syntax_error_is_reported_with_line_and_column(tmp_path: Path) -> None:
    result = unreadable(tmp_path, "x = 1\ny = = 2\n")
    assert (result.path, result.line, result.column) == ("m.py", 2, 5)
    assert result.reason.startswith(f"syntax error (Python {sys.version_info.major}.{sys.version_info.minor}): ")


def test_an_unreadable_file_still_has_the_digest_of_its_content(tmp_path: Path) -> None:
    assert unreadable(tmp_path, "x = = 2\n").digest == reading.sha256(b"x = = 2\n")


def test_a_null_byte_is_reported_where_it_stands(tmp_path: Path) -> None:
    result = unreadable(tmp_path, b"x = 1\nab\0c")
    assert (result.reason, result.line, result.column) == ("contains a null byte", 2, 3)


def test_bytes_that_are_no_utf_8_are_reported_where_they_stand(tmp_path: Path) -> None:
    result = unreadable(tmp_path, b"# fine\nx = '\xe9'\n")
    assert (result.line, result.column) == (2, 6)
    assert "utf-8" in result.reason


@pytest.mark.parametrize("name", ["no_such_codec", "rot13", "hex", "unicode_escape"])
def test_an_encoding_that_gives_no_text_is_reported(tmp_path: Path, name: str) -> None:
    result = unreadable(tmp_path, f"# coding: {name}\nx = '\\d..'\n")
    assert "encoding" in result.reason or "decoded" in result.reason


@pytest.mark.parametrize(
    "content",
    [
        "# coding: latin-1\nclass Né: ...\n".encode("latin-1"),
        b"\xef\xbb\xbf" + "class Né: ...\n".encode(),
        "class Né: ...\r\n".encode(),
        "x = 1\rclass Né: ...\r".encode(),
    ],
    ids=["coding comment", "byte order mark", "windows line ends", "old mac line ends"],
)
def test_a_file_is_decoded_as_python_would(tmp_path: Path, content: bytes) -> None:
    result = summary_of(tmp_path, content)
    assert isinstance(result, FileSummary)
    assert [found.qualname for found in result.classes] == ["Né"]


@pytest.mark.parametrize(
    "source",
    [
        "(" * 1000 + ")" * 1000,
        "[" * 150 + "]" * 150,
        "-" * 50_000 + "1",
        "x = " + "a." * 5000 + "b",
        "not " * 5000 + "x",
    ],
    ids=["parentheses", "lists", "signs", "attributes", "not"],
)
def test_nesting_too_deep_to_follow_is_no_crash(tmp_path: Path, source: str) -> None:
    result = summary_of(tmp_path, source)
    assert isinstance(result, FileSummary) or result.reason


def test_a_long_chain_of_elif_is_followed(tmp_path: Path) -> None:
    chain = "".join(f"elif x == {number}:\n    from m{number} import A\n" for number in range(250))
    result = summary_of(tmp_path, f"x = 1\nif x:\n    pass\n{chain}")
    assert isinstance(result, FileSummary)
    assert len(result.bindings["A"]) == 250


def test_a_file_over_the_size_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    with path.open("wb") as file:
        file.truncate(reading.MAX_BYTES + 1)
    result = summarise(SourceFile(path=path, relative="m.py", module="m"))
    assert isinstance(result, UnreadableFile)
    assert "more than the limit" in result.reason


def test_a_pipe_named_like_a_module_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.py")
    result = summarise(SourceFile(path=tmp_path / "m.py", relative="m.py", module="m"))
    assert result == UnreadableFile(path="m.py", reason="not a regular file")


def test_a_link_that_leads_nowhere_is_reported(tmp_path: Path) -> None:
    (tmp_path / "m.py").symlink_to(tmp_path / "missing.py")
    result = summarise(SourceFile(path=tmp_path / "m.py", relative="m.py", module="m"))
    assert isinstance(result, UnreadableFile)
    assert "No such file" in result.reason


def test_an_invalid_escape_in_the_target_neither_warns_nor_fails(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = summary_of(tmp_path, "pattern = '\\d'\nx = 1or 2\n")
    assert isinstance(result, FileSummary)
    assert caught == []


def test_reading_leaves_the_warning_filters_as_they_were(tmp_path: Path) -> None:
    before, contents = warnings.filters, list(warnings.filters)
    summary_of(tmp_path, "pattern = '\\d'\n")
    summary_of(tmp_path, "x = = 1\n")
    assert warnings.filters is before
    assert list(warnings.filters) == contents


def test_threads_that_read_at_once_neither_warn_nor_leave_filters_behind(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("pattern = '\\d'\n" * 50)
    file = SourceFile(path=path, relative="m.py", module="m")
    contents, results = list(warnings.filters), list[FileSummary | UnreadableFile]()
    threads = [threading.Thread(target=lambda: results.extend(summarise(file) for _ in range(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    assert all(isinstance(result, FileSummary) for result in results)
    assert list(warnings.filters) == contents


@example(b"# coding: utf-7\nx = '+2AA-'\n")
@example(b"\xef\xbb\xbf# coding: latin-1\n")
@example(b"\xff\xfe")
@given(st.binary(max_size=200))
def test_no_bytes_make_summarise_raise(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        assert isinstance(summary_of(Path(folder), content), FileSummary | UnreadableFile)


KEYWORDS = [
    "class A(",
    "B",
    ")",
    ":",
    " pass",
    "\n",
    "    ",
    "if x",
    "else",
    "try",
    "from . import *",
    "def f()",
    "=",
    "[",
    "]",
]


@given(st.lists(st.sampled_from(KEYWORDS), max_size=30).map("".join))
def test_no_text_of_python_words_makes_summarise_raise(text: str) -> None:
    with TemporaryDirectory() as folder:
        assert isinstance(summary_of(Path(folder), text), FileSummary | UnreadableFile)
