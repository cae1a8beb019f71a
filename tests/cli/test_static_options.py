"""`astrobio-audit static --notebooks` and `--probe`, by flag and by configuration."""

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

CODE = ["from torch import nn\n", "%matplotlib inline\n", "class Net(nn.Module):\n", "    pass\n"]
NOTEBOOK = {
    "cells": [{"cell_type": "code", "metadata": {}, "outputs": [], "source": CODE}],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    package = tmp_path / "zoo"
    package.mkdir()
    (package / "__init__.py").write_text("import broken\n")
    (package / "try.ipynb").write_text(json.dumps(NOTEBOOK, indent=1))
    library = tmp_path / "libs" / "broken"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("from . import _core\n")
    (library / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}").write_text("no binary")
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nexclude = ["/libs/"]\n')
    return tmp_path


def report(run: Run, project: Path, *flags: str) -> dict[str, list[dict[str, object]]]:
    done = run("static", "--target", str(project), "--json", "--no-cache", *flags, env=path_of(project))
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def path_of(project: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(project / "libs"))))}


def test_the_models_of_a_notebook_are_listed_where_they_stand_in_its_file(run: Run, project: Path) -> None:
    assert [item for item in report(run, project)["inventory"] if item["kind"] == "model"] == []
    found = report(run, project, "--notebooks")
    (model,) = (item for item in found["inventory"] if item["kind"] == "model")
    assert model["path"] == "zoo/try.ipynb"
    line = (project / "zoo/try.ipynb").read_text().splitlines()[int(str(model["line"])) - 1]
    assert "class Net" in line
    assert [row["module"] for row in found["imports"]] == ["zoo"]  # nothing can import a notebook


def test_a_notebook_beside_the_package_is_listed_for_what_it_trains(run: Run, project: Path) -> None:
    loop = "for x in data:\n    loss = f(x)\n    loss.backward()\n    optimizer.step()\n".splitlines(keepends=True)
    cell = {"cell_type": "code", "source": ["import torch\n", "optimizer = torch.optim.SGD([])\n", *loop]}
    (project / "notebooks").mkdir()
    (project / "notebooks/train.ipynb").write_text(json.dumps(NOTEBOOK | {"cells": [cell]}, indent=1))
    found = report(run, project, "--notebooks")["inventory"]
    assert "notebooks/train.ipynb" in {item["path"] for item in found if item["kind"] == "training_script"}


def test_configuration_can_ask_for_notebooks(run: Run, project: Path) -> None:
    with (project / "pyproject.toml").open("a") as file:
        file.write("notebooks = true\n")
    assert [item["path"] for item in report(run, project)["inventory"] if item["kind"] == "model"] == ["zoo/try.ipynb"]


def test_a_binary_that_does_not_load_fails_with_probe_only(run: Run, project: Path) -> None:
    assert [row["forecast"] for row in report(run, project)["imports"]] == ["ok"]
    (row,) = report(run, project, "--probe")["imports"]
    assert (row["forecast"], row["cause"]) == ("fails", "binary_does_not_load")


def test_configuration_cannot_ask_for_code_to_be_run(run: Run, project: Path) -> None:
    with (project / "pyproject.toml").open("a") as file:
        file.write("probe = true\n")
    done = run("static", "--target", str(project), "--no-cache")
    assert done.returncode == 2
    assert "probe: unknown key" in done.stderr


def test_the_file_that_the_report_is_written_to_is_not_judged(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "data.json").touch()
    with (tmp_path / "static.json").open("w") as output:  # as the shell makes it for `> static.json`, before the run
        done = run("static", "--json", cwd=tmp_path, stdout=output)
    results = json.loads((tmp_path / "static.json").read_text())["results"]
    found = [each["location"]["path"] for each in results if each["outcome"] == "failed"]
    assert (done.returncode, found) == (1, ["data.json"])
