"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from audit.report.files import WriteError
from audit.static.fixes.disk import content_of, real_file


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
