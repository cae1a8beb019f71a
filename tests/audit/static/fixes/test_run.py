"""Fixes of whole trees: what other files need stays."""

from pathlib import Path

import pytest

from audit.static.fixes.places import trees_of
from audit.static.fixes.run import choose, work_out, write
from audit.static.rules.rule import FixSafety
from audit.target import Settings

IMPORTS = "from torch.cuda.amp import GradScaler\nfrom torch import ger\nfrom functorch import vmap\n\n"
USES = "scaler = GradScaler()\nx = ger(a, b)\ny = vmap(f)\n"


def texts(folder: Path) -> dict[str, str]:
    """Return the new texts of the files that would change, by name."""
    settings = Settings()
    both = {FixSafety.SAFE, FixSafety.UNSAFE}
    run = work_out(trees_of([folder]), choose(settings, ()), allowed=both, exclude=(), installed=())
    assert all(file.fixed.rolled_back is None for file in run.files)
    return {file.path.name: file.fixed.text for file in run.files if file.is_changed}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text(IMPORTS + USES)
    return folder


def test_names_that_no_other_file_imports_change(package: Path) -> None:
    (package / "b.py").write_text("from zoo.a import scaler\n")
    assert texts(package) == {
        "a.py": "from torch.amp import GradScaler\nfrom torch import outer\nfrom torch.func import vmap\n\n"
        'scaler = GradScaler("cuda")\nx = outer(a, b)\ny = vmap(f)\n'
    }


@pytest.mark.parametrize(
    "line",
    [
        "from zoo.a import GradScaler, ger\n",
        "from .a import ger as g\nfrom .a import GradScaler\n",
        "from zoo.a import *\n",
    ],
)
def test_a_name_that_another_file_imports_stays_what_it_is(line: str, package: Path) -> None:
    (package / "b.py").write_text(line)
    # `vmap` is the same function by the same name afterwards.
    assert texts(package) == {"a.py": (IMPORTS + USES).replace("functorch", "torch.func")}


def test_a_fix_that_would_break_another_file_is_a_suggestion_that_says_so(package: Path) -> None:
    (package / "b.py").write_text("from zoo.a import ger\n")
    run = work_out(
        trees_of([package]), choose(Settings(), ["API002"]), allowed={FixSafety.SAFE}, exclude=(), installed=()
    )
    (file,) = run.files
    left = [each for each in file.fixed.left if "GradScaler" not in each.message]
    assert [(each.message, each.fix and each.fix.safety) for each in left] == [
        ("`torch.ger` is deprecated; another file imports `ger` from here", FixSafety.SUGGESTION)
    ] * 2


def test_other_files_of_the_package_count_even_where_one_file_is_named(package: Path) -> None:
    (package / "b.py").write_text("from zoo.a import GradScaler, ger\n")
    assert texts(package / "a.py") == {"a.py": (IMPORTS + USES).replace("functorch", "torch.func")}


def test_what_a_package_binds_may_be_imported_by_anybody(package: Path) -> None:
    (package / "__init__.py").write_text(IMPORTS + USES)
    assert texts(package)["__init__.py"] == (IMPORTS + USES).replace("functorch", "torch.func")


def test_an_import_in_a_function_is_nobody_elses(package: Path) -> None:
    text = "def f(a):\n    from torch import ger\n\n    return ger(a, a)\n"
    (package / "__init__.py").write_text(text)
    assert texts(package)["__init__.py"] == text.replace("ger", "outer")


def test_a_model_is_known_by_a_base_in_another_file_even_where_one_file_is_named(package: Path) -> None:
    (package / "base.py").write_text("from torch import nn\n\n\nclass Base(nn.Module):\n    pass\n")
    (package / "model.py").write_text(
        "import torch.nn.functional as F\n\nfrom zoo.base import Base\n\n\nclass A(Base):\n"
        "    def forward(self, x):\n        return F.dropout(x)\n"
    )
    assert "training=self.training" in texts(package / "model.py")["model.py"]


def test_a_path_inside_another_one_is_read_once(package: Path) -> None:
    (tree,) = trees_of([package, package / "a.py", package.parent])
    assert (tree.root, tree.start) == (package.parent, package.parent)
    (tree,) = trees_of([package / "a.py"])
    assert (tree.root, tree.start) == (package.parent, package / "a.py")


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfimport torch\r\n\r\nx = torch.ger(a, b)  # \xc3\xa9\r\n",
        b"# -*- coding: latin-1 -*-\nimport torch\n\nn = '\xe9'; x = torch.ger(a, b)  # \xfc",
        b"import torch\n\x0c\nx = [\n\ttorch.ger(a, b),\n    1]   \n\n\n",
    ],
)
def test_only_the_bytes_of_the_edit_change(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    trees = trees_of([path])
    run = work_out(trees, choose(Settings(), ["API002"]), allowed={FixSafety.SAFE}, exclude=(), installed=())
    (file,) = write(run, trees).files
    assert file.written
    assert path.read_bytes() == data.replace(b"torch.ger", b"torch.outer")


def test_a_file_in_an_encoding_that_cannot_be_told_exactly_is_named_and_left(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    data = (
        b"# coding: utf-7\nimport torch\nx = torch.ger(a, b)  # +AGE-\n"  # `+AGE-` is an `a`, which has a shorter form
    )
    path.write_bytes(data)
    run = work_out(trees_of([path]), choose(Settings(), ()), allowed={FixSafety.SAFE}, exclude=(), installed=())
    assert run.files == ()
    ((_, why),) = run.unreadable
    assert "encoding" in why
