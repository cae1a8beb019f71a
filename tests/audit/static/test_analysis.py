import hashlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from audit.static.analysis import analyse
from audit.static.inventory import InventoryItem
from audit.static.names import ClassSummary

Tree = Callable[[Mapping[str, str | bytes]], Path]

SOURCES = {
    "pkg/__init__.py": "from .a import A\n",
    "pkg/a.py": "from torch import nn\nclass A(nn.Module): ...\nclass Helper: ...\n",
    "pkg/broken.py": "class (:\n",
    "pkg/vendor/x.py": "",
}


def test_every_file_is_either_summarised_or_unreadable(tree: Tree) -> None:
    root = tree(SOURCES)
    found = analyse(root, root / "pkg")
    assert [file.relative for file in found.files] == ["pkg/__init__.py", "pkg/a.py", "pkg/broken.py"]
    assert [file.path for file in found.summaries] == ["pkg/__init__.py", "pkg/a.py"]
    assert [file.path for file in found.unreadable] == ["pkg/broken.py"]
    assert [skipped.relative for skipped in found.skipped_trees] == ["pkg/vendor"]


def test_two_analyses_of_one_tree_are_equal(tree: Tree) -> None:
    root = tree(SOURCES)
    assert analyse(root, root) == analyse(root, root)


def test_the_result_does_not_depend_on_the_hash_seed(tree: Tree) -> None:
    root = tree(SOURCES | {"pkg/c.py": "if x:\n    from a import A\nelse:\n    from b import A\nclass C(A): ...\n"})
    command = (
        "import sys; from pathlib import Path;"
        " from audit.static.analysis import analyse; from audit.static.per_file import codecs_of;"
        " from audit.static.record import record_of;"
        " found = analyse(Path(sys.argv[1]), Path(sys.argv[1])); codecs = codecs_of(record_of);"
        # Encoded, for equal sets may be shown in another order.
        " print(*(codecs[name].encode(each) for name in codecs for each in found.records.by_path(name).values()));"
        " print(found, found.digest)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", command, str(root)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_the_digest_covers_paths_and_contents_and_nothing_else(tree: Tree) -> None:
    root = tree({"b.py": "x = 1\n", "a.py": "y = 2\n"})
    contents = [
        f"{path}\0sha256:{hashlib.sha256((root / path).read_bytes()).hexdigest()}\n" for path in ("a.py", "b.py")
    ]
    assert analyse(root, root).digest == f"sha256:{hashlib.sha256(''.join(contents).encode()).hexdigest()}"


def test_the_digest_changes_with_a_file_that_does_not_parse(tree: Tree) -> None:
    root = tree({"a.py": "class (:"})
    before = analyse(root, root).digest
    tree({"a.py": "class ((:"})
    assert analyse(root, root).digest != before


def test_the_digest_does_not_change_with_a_tree_that_is_left_out(tree: Tree) -> None:
    root = tree(SOURCES)
    before = analyse(root, root).digest
    tree({"pkg/vendor/x.py": "x = 1"})
    assert analyse(root, root).digest == before


def test_a_model_is_found_by_name_as_its_item(tree: Tree) -> None:
    root = tree(SOURCES)
    found = analyse(root, root).find_class("pkg.a", "A")
    assert isinstance(found, InventoryItem)
    assert found.line == 2


def test_a_class_that_is_no_model_is_found_by_name_as_its_summary(tree: Tree) -> None:
    root = tree(SOURCES)
    found = analyse(root, root).find_class("pkg.a", "Helper")
    assert isinstance(found, ClassSummary)
    assert (found.path, found.line) == ("pkg/a.py", 3)


def test_a_class_that_does_not_exist_is_not_found(tree: Tree) -> None:
    root = tree(SOURCES)
    assert analyse(root, root).find_class("pkg.a", "Missing") is None


def test_of_two_definitions_the_model_is_found(tree: Tree) -> None:
    source = "try:\n    from torch import nn\n    class A(nn.Module): ...\nexcept ImportError:\n    class A: ...\n"
    root = tree({"a.py": source})
    assert isinstance(analyse(root, root).find_class("a", "A"), InventoryItem)


def test_the_target_does_not_run(tree: Tree) -> None:
    root = tree({"a.py": "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nraise SystemExit\n"})
    assert len(analyse(root, root).summaries) == 1
    assert not (root / "ran").exists()


def test_static_analysis_does_not_import_torch() -> None:
    command = "import sys, audit.static.analysis; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", command], cwd=root, check=False).returncode == 0


def test_a_tree_without_python_files_gives_an_empty_analysis(tree: Tree) -> None:
    root = tree({"notes.txt": ""})
    found = analyse(root, root)
    assert (found.files, found.inventory) == ((), ())
