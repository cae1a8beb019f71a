import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit.target import Target
from validation.mutation.copies import Copies, Copy
from validation.target_files import files_of

Write = Callable[..., Path]


@pytest.fixture
def copied(project: Write, tmp_path: Path) -> Callable[[Path], Copy]:
    def make(root: Path) -> Copy:
        return Copy(root, files_of(Target.load(root)), tmp_path / "copy")

    return make


def test_what_is_written_to_a_copy_is_not_written_to_the_target(project: Write, copied: Callable[[Path], Copy]) -> None:
    root = project()
    copy = copied(root)
    copy.write("zoo/good.py", "mutated = True\n")
    (copy.root / "zoo/parts.py").write_text("")
    assert (root / "zoo/good.py").read_text() != "mutated = True\n"
    assert (root / "zoo/parts.py").read_text()
    assert copy.restore() == ["zoo/good.py", "zoo/parts.py"]
    assert (copy.root / "zoo/good.py").read_bytes() == (root / "zoo/good.py").read_bytes()


def test_a_link_into_the_target_leads_into_the_copy(project: Write, copied: Callable[[Path], Copy]) -> None:
    root = project()
    (root / "zoo/linked.py").symlink_to(root / "zoo/good.py")
    (root / "folder").symlink_to("zoo", target_is_directory=True)
    copy = copied(root)
    assert (copy.root / "zoo/linked.py").resolve() == (copy.root / "zoo/good.py").resolve()
    assert (copy.root / "folder").resolve() == (copy.root / "zoo").resolve()


def test_a_link_is_replaced_and_not_written_through(
    project: Write, copied: Callable[[Path], Copy], tmp_path: Path
) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("kept = 1\n")
    root = project()
    (root / "zoo/outside.py").symlink_to(outside)
    copy = copied(root)
    copy.write("zoo/outside.py", "mutated = True\n")
    assert outside.read_text() == "kept = 1\n"
    copy.restore()
    assert (copy.root / "zoo/outside.py").is_symlink()


def test_what_a_test_leaves_behind_is_removed_and_what_it_removes_comes_back(
    project: Write, copied: Callable[[Path], Copy]
) -> None:
    copy = copied(project())
    (copy.root / "left").mkdir()
    (copy.root / "left/behind.txt").write_text("x")
    (copy.root / "zoo/toy.py").unlink()
    (copy.root / "zoo/__pycache__").mkdir()
    (copy.root / "zoo/__pycache__/toy.pyc").write_bytes(b"x")
    assert copy.restore() == ["left/behind.txt", "zoo/toy.py"]
    assert (copy.root / "zoo/toy.py").exists()
    assert not (copy.root / "zoo/__pycache__").exists()


def test_environments_and_version_control_are_left_out_and_a_pipe_does_not_hang(project: Write) -> None:
    root = project()
    (root / ".venv").mkdir()
    (root / ".venv/pyvenv.cfg").touch()
    (root / ".git").mkdir()
    (root / ".git/HEAD").touch()
    os.mkfifo(root / "pipe")
    names = files_of(Target.load(root))
    assert "zoo/good.py" in names
    assert not [name for name in names if name.startswith((".venv", ".git/"))]
    Copy(root, names, root.parent / "copy")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Says whether the disk is full from now on."""
    copied = shutil.copy2

    def refused(source: Path, place: Path) -> None:
        raise OSError(28, "No space left on device", str(place))

    return lambda is_full: monkeypatch.setattr(shutil, "copy2", refused if is_full else copied)


def test_a_copy_that_a_full_disk_leaves_in_pieces_is_put_back_before_it_is_lent_again(
    project: Write, tmp_path: Path, full_disk: Callable[[bool], None]
) -> None:
    root = project()
    copies = Copies(Target.load(root), tmp_path / "copies", most=1)

    def fill_while_it_is_lent() -> None:
        with copies.lent() as copy:
            copy.write("zoo/good.py", "mutated = True\n")
            full_disk(True)

    with pytest.raises(OSError, match="No space left"):
        fill_while_it_is_lent()
    with pytest.raises(OSError, match="No space left"), copies.lent():
        pass
    full_disk(False)
    with copies.lent() as copy:
        assert (copy.root / "zoo/good.py").read_bytes() == (root / "zoo/good.py").read_bytes()


def test_where_there_is_no_room_for_another_copy_there_are_fewer(
    project: Write, tmp_path: Path, full_disk: Callable[[bool], None]
) -> None:
    copies = Copies(Target.load(project()), tmp_path / "copies", most=2)
    with copies.lent() as first:
        full_disk(True)
        waiting = ThreadPoolExecutor(1).submit(lambda: copies.lent().__enter__())
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        full_disk(False)
    assert waiting.result(10) is first
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["1"]
