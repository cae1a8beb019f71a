"""`astrobio-audit static PATHS`: any tree, no package named."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
FILES = {
    "pyproject.toml": '[tool.astrobio-audit]\nexclude = ["/tests/data/"]\n',
    "src/zoo/__init__.py": "",
    "src/zoo/base.py": "from torch import nn\n\n\nclass Base(nn.Module):\n    pass\n",
    "src/zoo/model.py": "from zoo.base import Base\n\n\nclass Model(Base):\n    pass\n",
    "tests/test_model.py": "from zoo.model import Model\n\n\nclass Local(Model):\n    pass\n",
    "tests/load.py": "import torch\n\nstate = torch.load('a.pt')\n",
    "tests/data/broken.py": "def (\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path, FILES)
    return tmp_path


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def report(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def inventory(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str, str]]:
    items = json.loads(done.stdout)["inventory"]
    return [(each["kind"], each["module"], each["qualname"]) for each in items]


def test_paths_limit_the_report_and_its_first_line_says_so(run: Run, project: Path) -> None:
    done = run("static", "tests/load.py", cwd=project)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "partial run, no verdict: limited to tests/load.py"
    assert "tests/load.py:3" in done.stdout
    said = report(run("static", "tests/load.py", "--json", cwd=project))
    assert (said["verdict"], said["partial"]) == (None, True)
    assert "static.models" not in {check["id"] for check in said["checks"]}  # type: ignore[attr-defined]


def test_a_clean_file_exits_0_and_the_files_around_it_tell_what_its_classes_are(run: Run, project: Path) -> None:
    done = run("static", "src/zoo/model.py", "--json", cwd=project)
    assert done.returncode == 0
    assert inventory(done) == [("model", "zoo.model", "Model")]
    assert [row["path"] for row in json.loads(done.stdout)["imports"]] == ["src/zoo/model.py"]


def test_a_test_that_uses_the_package_of_src_knows_its_models(run: Run, project: Path) -> None:
    done = run("static", str(project / "tests"), "--json", cwd="/")
    assert ("model", "tests.test_model", "Local") in inventory(done)
    assert {row["forecast"] for row in json.loads(done.stdout)["imports"]} == {"ok"}


def test_without_paths_and_without_a_package_the_whole_folder_is_analysed(run: Run, project: Path) -> None:
    done = run("static", "--json", cwd=project)
    said = report(done)
    assert (done.returncode, said["verdict"], said["partial"]) == (1, "findings", False)
    assert {row["path"] for row in json.loads(done.stdout)["imports"]} == {
        name for name in FILES if name.endswith(".py") and "broken" not in name
    }
    assert said["skipped_trees"] == [
        {"path": "tests/data", "files": 1, "reason": "excluded by the pattern '/tests/data/'"}
    ]


def test_the_command_that_repeats_a_finding_of_paths_finds_it(run: Run, project: Path) -> None:
    results = json.loads(run("static", str(project / "tests"), "--json").stdout)["results"]
    (found,) = [each for each in results if each["outcome"] == "failed"]
    again = json.loads(run(*found["evidence"]["reproduce"].split()[1:], "--json", cwd=project).stdout)["results"]
    assert [(each["check"], each["location"]) for each in again] == [(found["check"], found["location"])]


def test_a_tree_without_a_model_can_be_clean_and_one_without_a_file_cannot(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    assert run("static", "-q", cwd=tmp_path).returncode == 0
    (tmp_path / "a.py").unlink()
    done = run("static", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no Python file" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["absent\n.py"], "absent .py: no such file or folder"),
        (["tests/data"], "tests/data: holds no Python file, or `exclude` leaves out those it holds"),
        (["tests", "--package", "zoo"], "--package and PATHS are two ways to say what is analysed"),
        (["tests", "--target", "src"], "tests: outside the root"),
    ],
)
def test_a_path_that_cannot_be_analysed_is_one_line(
    run: Run, project: Path, arguments: list[str], expected: str
) -> None:
    done = run("static", *arguments, cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("astrobio-audit: ")
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr


def test_a_submodule_that_only_a_file_outside_of_the_paths_reads_is_used(run: Run, project: Path) -> None:
    model = (
        "from torch import nn\n\n\nclass Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.head = nn.Linear(1, 1)\n\n    def forward(self, x):\n        return x\n"
    )
    write(project, {"src/zoo/model.py": model})
    arguments = ("static", "src/zoo/model.py", "--only", "rules.mod003", "-q")
    assert run(*arguments, cwd=project).returncode == 1
    write(project, {"src/zoo/base.py": "def use(model, x):\n    return model.head(x)\n"})
    assert run(*arguments, cwd=project).returncode == 0
