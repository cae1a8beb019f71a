import sys
from pathlib import Path

import pytest

from audit.probe.guess.find import find
from audit.probe.guess.loading import load
from audit.probe.guess.problems import NotGuessed

FIXTURES = Path(__file__).parents[3] / "fixtures" / "attention" / "guessed"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "some_package_of_this_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[name]


def test_a_file_of_a_package_is_imported_as_its_module(package: Path) -> None:
    (package / "sizes.py").write_text("HEADS = 3\n")
    file = package / "attention.py"
    file.write_text("from .sizes import HEADS\nclass Attention:\n    heads = HEADS\n    class Inner:\n        pass\n")
    loaded = load(str(file), f"{package.name}.attention", "Attention")
    assert (loaded.how, loaded.value.heads, loaded.value.__module__) == ("package", 3, f"{package.name}.attention")
    assert load(str(file), f"{package.name}.attention", "Attention.Inner").value.__name__ == "Inner"


def test_a_file_whose_package_fails_is_imported_alone(package: Path) -> None:
    (package / "__init__.py").write_text("raise RuntimeError('no GPU')\n")
    file = package / "attention.py"
    file.write_text("class Attention:\n    heads = 4\n")
    loaded = load(str(file), f"{package.name}.attention", "Attention")
    assert (loaded.how, loaded.value.heads) == ("file", 4)


def test_what_a_failing_package_has_imported_before_is_that_module_each_time(package: Path) -> None:
    (package / "__init__.py").write_text("from .attention import Attention\nimport not_installed_for_this_test\n")
    file = package / "attention.py"
    file.write_text("from . import sizes\nclass Attention:\n    heads = sizes.HEADS\n")
    (package / "sizes.py").write_text("HEADS = 6\n")
    found = [load(str(file), f"{package.name}.attention", "Attention") for _ in range(2)]
    assert {(each.how, each.value.__module__, each.value.heads) for each in found} == {
        ("package", f"{package.name}.attention", 6)
    }
    assert found[0].value is found[1].value
    assert "No module named 'not_installed_for_this_test'" in found[0].said


def test_a_file_finds_its_neighbours(package: Path) -> None:
    (package / "a_neighbour_of_this_test.py").write_text("HEADS = 5\n")
    file = package / "attention.py"
    file.write_text("from a_neighbour_of_this_test import HEADS\nclass Attention:\n    heads = HEADS\n")
    assert load(str(file), None, "Attention").value.heads == 5


def test_the_folder_of_a_file_is_first_on_the_path_only_while_the_file_runs(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("MINE = True\n")
    file = tmp_path / "attention.py"
    file.write_text("import sys\nPATH = list(sys.path)\nclass Attention:\n    pass\n")
    before = list(sys.path)
    loaded = load(str(file), None, "Attention")
    module = sys.modules[loaded.value.__module__]
    assert [str(tmp_path), *before] == module.PATH
    assert sys.path == [*before, str(tmp_path)]


def test_a_class_is_loaded_alone_where_its_file_cannot_be() -> None:
    loaded = load(str(FIXTURES / "unloadable.py"), None, "Attention")
    assert loaded.how == "class"
    assert loaded.value.__init__.__defaults__ == (4,)  # the constant of its file


def test_a_branch_that_catches_a_failed_import_runs(tmp_path: Path) -> None:
    file = tmp_path / "guarded.py"
    file.write_text(
        "import a_library_that_nobody_has\n"
        "try:\n    from a_library_that_nobody_has import flash\nexcept ImportError:\n    flash = None\n"
        "class Attention:\n    has_flash = flash is not None\n"
    )
    assert load(str(file), None, "Attention").value.has_flash is False


def test_each_way_that_fails_says_why_and_where(package: Path) -> None:
    file = package / "attention.py"
    file.write_text("import a_library_that_nobody_has\nclass Attention(a_library_that_nobody_has.Base):\n    pass\n")
    with pytest.raises(NotGuessed) as caught:
        load(str(file), f"{package.name}.attention", "Attention")
    message = str(caught.value)
    assert message.count("No module named 'a_library_that_nobody_has' (attention.py:1)") == 2
    assert "the definition alone: NameError" in message
    assert "(attention.py:2)" in message


def test_exit_at_import_is_a_reason_and_no_exit(tmp_path: Path) -> None:
    file = tmp_path / "leaves.py"
    file.write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(NotGuessed, match=r"SystemExit: 3 \(leaves.py:2\)"):
        load(str(file), None, "Attention")


def test_a_syntax_error_is_told_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("x = 1\ndef f(:\n")
    with pytest.raises(NotGuessed, match=r"SyntaxError: .* \(broken.py:2\)"):
        load(str(file), None, "f")


def test_what_a_failed_import_leaves_missing_is_told_with_that_import(tmp_path: Path) -> None:
    file = tmp_path / "attention.py"
    file.write_text(
        "from torch import nn\nfrom a_library_that_nobody_has import helper\n"
        "class Attention(nn.Module):\n"
        "    def __init__(self, dim=16):\n        super().__init__()\n        self.qkv = helper(nn.Linear(dim, dim))\n"
        "    def forward(self, x):\n        return self.qkv(x)\n"
    )
    problem = find(str(file), None, "Attention", seed=0)["problem"]
    assert isinstance(problem, str)
    assert "name 'helper' is not defined" in problem
    assert (
        "executed alone: import of the file: ModuleNotFoundError: No module named 'a_library_that_nobody_has'"
        in problem
    )


def test_a_package_is_imported_whose_folder_is_not_on_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "sources" / "another_package_of_this_test"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "sizes.py").write_text("HEADS = 6\n")
    file = folder / "attention.py"
    file.write_text("from .sizes import HEADS\nclass Attention:\n    heads = HEADS\n")
    before = list(sys.path)
    try:
        loaded = load(str(file), f"{folder.name}.attention", "Attention")
        assert (loaded.how, loaded.value.heads, loaded.said) == ("package", 6, "")
        assert sys.path == [*before, str(folder.parent)]
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
            del sys.modules[name]


def test_a_class_that_is_executed_alone_says_why_and_what_has_no_value(tmp_path: Path) -> None:
    file = tmp_path / "attention.py"
    file.write_text(
        "from a_library_that_nobody_has import helper, unused\n"
        "from math import *\n"
        "try:\n    from a_library_that_nobody_has import flash\nexcept ImportError:\n    flash = None\n"
        "TABLE = helper(3)\n"
        "class Attention:\n"
        "    root = sqrt(16)\n"
        "    def forward(self, x):\n        return helper(x) if len(x) > 9 else flash or TABLE\n"
    )
    loaded = load(str(file), None, "Attention")
    assert (loaded.how, loaded.value.root, loaded.absent) == ("class", 4.0, ("TABLE", "helper"))
    assert loaded.said == (
        "executed alone: import of the file: ModuleNotFoundError: No module named 'a_library_that_nobody_has' "
        "(attention.py:1); nothing stands for the names TABLE, helper"
    )


def test_a_star_import_that_fails_is_among_what_has_no_value(tmp_path: Path) -> None:
    file = tmp_path / "attention.py"
    file.write_text("from a_library_that_nobody_has import *\nclass Attention:\n    pass\n")
    assert load(str(file), None, "Attention").absent == ("*",)


def test_a_file_that_its_package_does_not_import_says_so(package: Path) -> None:
    (package / "__init__.py").write_text("raise RuntimeError('no GPU')\n")
    file = package / "attention.py"
    file.write_text("class Attention:\n    heads = 4\n")
    said = load(str(file), f"{package.name}.attention", "Attention").said
    assert said.startswith(
        f"loaded as a file, without its package: import {package.name}.attention: RuntimeError: no GPU"
    )


def test_what_was_executed_alone_stays_so_where_the_import_works_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "attention.py"
    file.write_text("import a_library_that_comes_later\nclass Attention:\n    pass\n")
    first = load(str(file), None, "Attention")
    monkeypatch.setitem(sys.modules, "a_library_that_comes_later", sys)
    assert load(str(file), None, "Attention", how=first.how).value is first.value
    assert load(str(file), None, "Attention").how == "file"


@pytest.mark.parametrize(("name", "whose"), [("json", "Python's standard library has"), ("torch", "there is")])
@pytest.mark.parametrize("module", ["__init__", "model_of_this_test", "inner_of_this_test.model"])
def test_a_package_that_another_of_its_name_hides_says_which_file_that_is(
    tmp_path: Path, name: str, whose: str, module: str
) -> None:
    file = tmp_path / name / f"{module.replace('.', '/')}.py"
    file.parent.mkdir(parents=True)
    file.write_text("class Model:\n    pass\n")
    dotted = name if module == "__init__" else f"{name}.{module}"
    hidden_by = f"{whose} another {name}, {sys.modules[name].__file__}, which hides this one; rename yours"
    with pytest.raises(NotGuessed) as refused:
        load(str(file), dotted, "Model", how="package")
    assert f"import {dotted}: ImportError: {hidden_by}" in str(refused.value)


def test_what_a_module_needs_and_is_not_there_is_told_as_that(package: Path) -> None:
    (package / "needs.py").write_text("import not_there_at_all\nclass Model:\n    pass\n")
    with pytest.raises(NotGuessed, match="ModuleNotFoundError: No module named 'not_there_at_all'"):
        load(str(package / "needs.py"), f"{package.name}.needs", "Model", how="package")
