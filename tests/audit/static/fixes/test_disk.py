"""Files are written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from audit.report.files import WriteError
from audit.static.fixes.disk import content_of, real_file, write_over


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfx = '\xc3\xa9'\r\n", "x = 'é'\r\n"),
        (b"# coding: latin-1\nx = '\xe9'\n", "# coding: latin-1\nx = 'é'\n"),
    ],
)
def test_a_text_is_encoded_back_to_the_same_bytes(data: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    content = content_of(path, text)
    assert content is not None
    assert content.encoded(text) == data
    assert content.encoded(text + "y = 1\n") == data + b"y = 1\n"


def test_a_character_that_the_encoding_lacks_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"# coding: latin-1\n")
    content = content_of(path, "# coding: latin-1\n")
    assert content is not None
    assert content.encoded("# coding: latin-1\nx = '\u20ac'\n") is None


def test_a_text_that_is_not_the_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"x = 1\n")
    assert content_of(path, "x = 2\n") is None


def test_the_mode_stays_and_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    path.chmod(0o754)
    write_over(path, b"new", expected=b"old")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o754
    assert [each.name for each in tmp_path.iterdir()] == ["a.py"]


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"newer")
    with pytest.raises(WriteError, match="changed while it was being fixed"):
        write_over(path, b"new", expected=b"old")
    assert path.read_bytes() == b"newer"
    assert [each.name for each in tmp_path.iterdir()] == ["a.py"]


def test_a_read_only_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(WriteError, match="read-only"):
        write_over(path, b"new", expected=b"old")
    assert path.read_bytes() == b"old"


def test_a_full_disk_leaves_the_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="No space left on device; it is unchanged"):
        write_over(path, b"new", expected=b"old")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.py"]


def test_the_file_behind_a_link_is_written_only_inside_the_tree(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    inside, outside = tmp_path / "tree" / "a.py", tmp_path / "b.py"
    inside.write_text("")
    outside.write_text("")
    (tmp_path / "tree" / "link.py").symlink_to(inside)
    (tmp_path / "tree" / "away.py").symlink_to(outside)
    assert real_file(tmp_path / "tree" / "link.py", [tmp_path / "tree"]) == inside.resolve()
    with pytest.raises(WriteError, match="is a link to"):
        real_file(tmp_path / "tree" / "away.py", [tmp_path / "tree"])
