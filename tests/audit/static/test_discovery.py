import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.discovery import Discovery, discover

Tree = Callable[[Mapping[str, str | bytes]], Path]


def paths(discovery: Discovery) -> list[str]:
    return [file.relative for file in discovery.files]


def skipped(discovery: Discovery) -> dict[str, int | None]:
    return {tree.relative: tree.python_files for tree in discovery.skipped_trees}


def test_files_come_sorted_with_module_names_seen_from_the_root(tree: Tree) -> None:
    root = tree({"pkg/b.py": "", "pkg/__init__.py": "", "pkg/a/__init__.py": "", "pkg/a/c.py": "", "pkg/notes.txt": ""})
    found = discover(root, root / "pkg").files
    assert [(file.relative, file.module) for file in found] == [
        ("pkg/__init__.py", "pkg"),
        ("pkg/a/__init__.py", "pkg.a"),
        ("pkg/a/c.py", "pkg.a.c"),
        ("pkg/b.py", "pkg.b"),
    ]
    assert all(file.path.is_absolute() for file in found)


def test_a_start_that_is_a_file_is_the_only_file(tree: Tree) -> None:
    root = tree({"pkg/a.py": "", "pkg/b.py": ""})
    assert paths(discover(root, root / "pkg" / "b.py")) == ["pkg/b.py"]


def test_a_start_outside_the_root_is_a_value_error(tree: Tree) -> None:
    root = tree({"pkg/a.py": "", "other/b.py": ""})
    with pytest.raises(ValueError, match="not inside the root"):
        discover(root / "pkg", root / "other")


def test_a_start_that_does_not_exist_is_a_file_not_found_error(tree: Tree) -> None:
    root = tree({"a.py": ""})
    with pytest.raises(FileNotFoundError, match="missing"):
        discover(root, root / "missing")


@pytest.mark.parametrize(
    "folder",
    [".git", ".tox", "__pycache__", "node_modules", "site-packages", "_vendor", "vendor", "third_party"],
)
def test_a_folder_known_by_its_name_is_left_out_and_counted(tree: Tree, folder: str) -> None:
    root = tree({"pkg/a.py": "", f"pkg/{folder}/x.py": "", f"pkg/{folder}/deep/y.py": "", f"pkg/{folder}/z.txt": ""})
    discovery = discover(root, root)
    assert paths(discovery) == ["pkg/a.py"]
    assert skipped(discovery) == {f"pkg/{folder}": 2}
    assert folder in discovery.skipped_trees[0].reason


def test_a_virtual_environment_of_any_name_is_left_out(tree: Tree) -> None:
    root = tree({"a.py": "", "tools/pyvenv.cfg": "", "tools/lib/x.py": ""})
    discovery = discover(root, root)
    assert skipped(discovery) == {"tools": 1}
    assert "virtual environment" in discovery.skipped_trees[0].reason


def test_build_output_is_left_out(tree: Tree) -> None:
    discovery = discover(root := tree({"a.py": "", "build/lib/a.py": "", "dist/b.py": ""}), root)
    assert paths(discovery) == ["a.py"]
    assert skipped(discovery) == {"build": 1, "dist": 1}


def test_a_package_named_build_is_read(tree: Tree) -> None:
    root = tree({"pkg/build/__init__.py": "", "pkg/build/a.py": ""})
    assert paths(discover(root, root)) == ["pkg/build/__init__.py", "pkg/build/a.py"]


def test_a_start_named_like_a_left_out_folder_is_read(tree: Tree) -> None:
    root = tree({"vendor/pkg/a.py": "", "vendor/vendor/b.py": ""})
    discovery = discover(root, root / "vendor")
    assert paths(discovery) == ["vendor/pkg/a.py"]
    assert skipped(discovery) == {"vendor/vendor": 1}


def test_a_start_that_git_ignores_is_read(tree: Tree) -> None:
    root = tree({".git/HEAD": "", ".gitignore": "/out/\n", "out/a.py": "", "out/.gitignore": "b.py\n", "out/b.py": ""})
    assert paths(discover(root, root / "out")) == ["out/a.py"]


def test_a_start_in_a_folder_that_ignores_all_it_holds_is_read(tree: Tree) -> None:
    root = tree({".git/HEAD": "", "env/.gitignore": "*\n", "env/lib/pkg/a.py": ""})
    assert paths(discover(root, root / "env/lib/pkg")) == ["env/lib/pkg/a.py"]


def test_a_tree_without_python_files_is_not_listed(tree: Tree) -> None:
    root = tree({"a.py": "", "__pycache__/a.cpython-311.pyc": ""})
    assert discover(root, root).skipped_trees == ()


def test_an_exclude_pattern_leaves_out_what_an_ignore_file_keeps(tree: Tree) -> None:
    root = tree({".gitignore": "!gen/\n", "gen/a.py": "", "b.py": "", "gen_b.py": ""})
    discovery = discover(root, root, exclude=["gen/", "gen_*.py"])
    assert paths(discovery) == ["b.py"]
    assert skipped(discovery) == {"gen": 1, "gen_b.py": 1}


def test_the_reason_names_the_ignore_file_and_its_line(tree: Tree) -> None:
    root = tree({"pkg/.gitignore": "# generated\n*_pb2.py\n", "pkg/a_pb2.py": ""})
    assert discover(root, root).skipped_trees[0].reason == "ignored by pkg/.gitignore, line 2: *_pb2.py"


def test_ignore_files_above_the_root_count_up_to_the_repository(tree: Tree) -> None:
    top = tree(
        {"repo/.git/HEAD": "", "repo/.gitignore": "draft_*.py\n", "repo/src/draft_a.py": "", "repo/src/b.py": ""}
    )
    tree({".gitignore": "b.py\n"})
    assert paths(discover(top / "repo/src", top / "repo/src")) == ["b.py"]


def test_a_link_to_a_folder_above_is_not_followed(tree: Tree) -> None:
    root = tree({"pkg/a.py": ""})
    (root / "pkg/loop").symlink_to(root / "pkg")
    discovery = discover(root, root)
    assert paths(discovery) == ["pkg/a.py"]
    assert skipped(discovery) == {"pkg/loop": None}


def test_a_link_out_of_the_root_is_listed_and_not_followed(tree: Tree, tmp_path: Path) -> None:
    root = tree({"a.py": ""})
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/b.py").touch()
    (root / "link").symlink_to(tmp_path / "outside")
    discovery = discover(root, root)
    assert paths(discovery) == ["a.py"]
    assert "outside the root" in discovery.skipped_trees[0].reason


def test_a_folder_of_the_root_that_two_links_lead_to_is_read_once(tree: Tree) -> None:
    root = tree({"pkg/a.py": "", "common/b.py": ""})
    for name in ("first", "second"):
        (root / "pkg" / name).symlink_to(root / "common")
    discovery = discover(root, root / "pkg")
    assert paths(discovery) == ["pkg/a.py", "pkg/first/b.py"]
    assert skipped(discovery) == {"pkg/second": None}


def test_a_link_to_itself_is_no_crash(tree: Tree) -> None:
    root = tree({"a.py": ""})
    (root / "self").symlink_to(root / "self")
    (root / "self.py").symlink_to(root / "self.py")
    assert paths(discover(root, root)) == ["a.py", "self.py"]


def test_a_folder_that_cannot_be_read_is_listed_with_the_reason(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree({"a.py": "", "locked/b.py": ""})
    scandir = os.scandir

    def refuse(path: str | Path) -> "os.ScandirIterator[str]":  # file modes do not stop the root user
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    (locked,) = discover(root, root).skipped_trees
    assert (locked.relative, locked.python_files) == ("locked", None)
    assert locked.reason == "cannot be read: Permission denied"


def test_a_file_name_that_is_no_utf_8_is_written_with_escapes(tree: Tree) -> None:
    root = tree({"a.py": ""})
    (root / os.fsdecode(b"\xff.py")).touch()
    assert paths(discover(root, root)) == ["\\xff.py", "a.py"]


def test_a_link_into_a_folder_that_is_left_out_by_name_is_not_followed(tree: Tree) -> None:
    root = tree({"pkg/a.py": "", "vendor/other/b.py": ""})
    (root / "pkg/other").symlink_to(root / "vendor/other")
    discovery = discover(root, root / "pkg")
    assert paths(discovery) == ["pkg/a.py"]
    assert skipped(discovery) == {"pkg/other": None}
