from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.errors import UsageError
from audit.static.paths import TreeFiles, find_root, limited_to, paths_inside, tree_files

Tree = Callable[[Mapping[str, str | bytes]], Path]


def modules(found: TreeFiles) -> dict[str, str]:
    return {file.relative: file.module for file in found.discovery.files}


@pytest.mark.parametrize("marker", ["pyproject.toml", ".git/HEAD"])
def test_the_root_is_the_nearest_folder_that_holds_a_project_or_a_repository(tree: Tree, marker: str) -> None:
    root = tree({f"project/{marker}": "", "project/tests/deep/test_a.py": "", "pyproject.toml": ""})
    assert find_root([root / "project/tests/deep/test_a.py"]) == root / "project"
    assert find_root([root / "project"]) == root / "project"


def test_a_package_in_the_environment_of_a_project_is_not_its_own(tree: Tree) -> None:
    installed = "project/.venv/lib/python3.12/site-packages"
    root = tree(
        {
            "project/pyproject.toml": "",
            f"{installed}/zoo/__init__.py": "",
            f"{installed}/zoo/layers.py": "",
            f"{installed}/checkout/pyproject.toml": "",
            f"{installed}/checkout/a.py": "",
        }
    )
    assert find_root([root / installed / "zoo" / "layers.py"]) == root / installed
    assert find_root([root / installed / "checkout" / "a.py"]) == root / installed / "checkout"


def test_without_a_project_the_root_is_no_part_of_a_package(tree: Tree) -> None:
    root = tree({"site/zoo/__init__.py": "", "site/zoo/layers/__init__.py": "", "site/other/a.py": ""})
    assert find_root([root / "site/zoo/layers"]) == root / "site"
    assert find_root([root / "site/zoo/layers/__init__.py"]) == root / "site"
    assert find_root([root / "site/other/a.py"]) == root / "site/other"
    assert find_root([root / "site/other/a.py", root / "site/zoo"]) == root / "site"


def test_a_path_in_another_and_a_path_named_twice_count_once(tree: Tree) -> None:
    root = tree({"a/b/x.py": "", "a.py": "", "c/y.py": ""})
    given = [root / "c/y.py", root / "a/b", root / "a", root / "c/../c/y.py"]
    assert paths_inside(root, given) == (root / "a", root / "c/y.py")


def test_a_path_that_does_not_exist_lies_outside_or_is_no_python_file_is_refused(tree: Tree, tmp_path: Path) -> None:
    root = tree({"a.py": "", "notes.md": ""})
    (tmp_path / "outside.py").touch()
    for name, expected in [
        ("absent.py", "no such file or folder"),
        ("../outside.py", "outside the root"),
        ("notes.md", "not a Python file"),
        ("a\0b", "no such file or folder"),
        ("x" * 5000, "no such file or folder"),
    ]:
        with pytest.raises(UsageError, match=expected):
            paths_inside(root, [root / name])


def test_a_link_that_lies_in_the_root_is_taken_where_it_stands(tree: Tree, tmp_path: Path) -> None:
    root = tree({"a.py": ""})
    (tmp_path / "outside.py").write_text("x = 1\n")
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    assert paths_inside(root, [root / "link.py"]) == (root / "link.py",)


def test_modules_are_named_from_the_outermost_package_and_other_files_from_the_root(tree: Tree) -> None:
    root = tree(
        {
            "src/zoo/__init__.py": "",
            "src/zoo/layers/__init__.py": "",
            "src/zoo/layers/norm.py": "",
            "src/script.py": "",
            "lib/deep/other/__init__.py": "",
            "tests/test_a.py": "",
            "setup.py": "",
        }
    )
    assert modules(tree_files(root, [])) == {
        "src/zoo/__init__.py": "zoo",
        "src/zoo/layers/__init__.py": "zoo.layers",
        "src/zoo/layers/norm.py": "zoo.layers.norm",
        "src/script.py": "script",
        "lib/deep/other/__init__.py": "other",
        "tests/test_a.py": "tests.test_a",
        "setup.py": "setup",
    }


def test_of_packages_with_one_name_only_that_at_the_root_has_it(tree: Tree) -> None:
    root = tree({"zoo/__init__.py": "", "fixtures/a/zoo/__init__.py": "", "fixtures/b/zoo/__init__.py": ""})
    found = tree_files(root, [])
    assert modules(found) == {
        "zoo/__init__.py": "zoo",
        "fixtures/a/zoo/__init__.py": "fixtures.a.zoo",
        "fixtures/b/zoo/__init__.py": "fixtures.b.zoo",
    }
    assert found.ambiguous == {"zoo"}


def test_a_file_of_a_package_brings_the_package_and_shows_itself_alone(tree: Tree) -> None:
    root = tree({"zoo/__init__.py": "", "zoo/a.py": "", "zoo/sub/__init__.py": "", "zoo/sub/b.py": "", "c.py": ""})
    found = tree_files(root, [root / "zoo/sub/b.py"])
    assert sorted(modules(found)) == ["zoo/__init__.py", "zoo/a.py", "zoo/sub/__init__.py", "zoo/sub/b.py"]
    assert found.shown == {"zoo/sub/b.py"}


def test_a_script_brings_nothing_but_is_searched_from_its_folder(tree: Tree) -> None:
    root = tree({"tools/a.py": "", "tools/b.py": "", "src/zoo/__init__.py": ""})
    found = tree_files(root, [root / "tools/a.py"])
    assert sorted(modules(found)) == ["tools/a.py"]
    assert set(found.search) == {root, root / "src", root / "tools"}


def test_what_the_configuration_excludes_stays_out_even_when_it_is_named(tree: Tree) -> None:
    root = tree({"a.py": "", "generated/b.py": "", "generated/keep.py": ""})
    found = tree_files(root, [root / "a.py", root / "generated"], exclude=["generated/b.py"])
    assert found.shown == {"a.py", "generated/keep.py"}
    assert [tree.relative for tree in found.discovery.skipped_trees] == ["generated/b.py"]
    named = tree_files(root, [root / "a.py", root / "generated/b.py"], exclude=["/generated/"])
    assert named.shown == {"a.py"}
    assert [(tree.relative, tree.reason) for tree in named.discovery.skipped_trees] == [
        ("generated/b.py", "excluded by the pattern '/generated/'")
    ]
    with pytest.raises(UsageError, match="holds no Python file, or `exclude` leaves out"):
        tree_files(root, [root / "generated/b.py"], exclude=["/generated/"])


def test_what_git_ignores_is_read_when_it_is_named(tree: Tree) -> None:
    root = tree({".git/HEAD": "", ".gitignore": "out/\n", "a.py": "", "out/b.py": ""})
    assert tree_files(root, [root]).shown == {"a.py"}
    assert tree_files(root, [root / "out"]).shown == {"out/b.py"}
    assert tree_files(root, [root / "out/b.py"]).shown == {"out/b.py"}


def test_a_folder_without_a_python_file_is_refused(tree: Tree) -> None:
    root = tree({"a.py": "", "docs/index.md": ""})
    with pytest.raises(UsageError, match="docs: holds no Python file"):
        tree_files(root, [root / "a.py", root / "docs"])


def test_the_limits_of_a_run_are_named_up_to_a_few(tmp_path: Path) -> None:
    names = [tmp_path / name for name in "abcdefg"]
    assert limited_to(tmp_path, names[:2]) == "limited to a, b"
    assert limited_to(tmp_path, names) == "limited to a, b, c, d, e and 2 more"
