"""Findings in notebooks: which cell they name in each format, and that a secret is reported once."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

TOKEN = "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi"
PRINTED = "hf_" + "ZwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUz"
LOADS = "import torch\n\nmodel = torch.load('a.pt', weights_only=False)\n"
PLACE = "(cell 2, line 3)"


def cell(source: str, *, printed: str = "", kind: str = "code") -> dict[str, Any]:
    outputs = [{"output_type": "stream", "name": "stdout", "text": [printed]}] if printed else []
    return {"cell_type": kind, "metadata": {}, "outputs": outputs, "source": source.splitlines(keepends=True)}


def write(project: Path, *cells: dict[str, Any], indent: int | None = 1, more: str = "") -> Path:
    (project / "zoo").mkdir(exist_ok=True)
    (project / "zoo" / "__init__.py").write_text("from torch import nn\nclass Net(nn.Module): ...\n")
    (project / "pyproject.toml").write_text(f'[tool.astrobio-audit]\npackage = "zoo"\nnotebooks = true\n{more}')
    document = {"cells": [cell("# Title", kind="markdown"), *cells], "metadata": {}, "nbformat": 4}
    (project / "zoo" / "use.ipynb").write_text(json.dumps(document, indent=indent))
    return project


def failures(run: Run, project: Path) -> dict[str, list[dict[str, Any]]]:
    done = run("static", "--target", str(project), "--json", "--no-cache")
    found: dict[str, list[dict[str, Any]]] = {}
    for result in json.loads(done.stdout)["results"]:
        if result["outcome"] == "failed":
            found.setdefault(result["check"], []).append(result)
    return found


@pytest.mark.parametrize("indent", [1, None])
def test_a_finding_names_its_cell_and_the_line_in_it(run: Run, tmp_path: Path, indent: int | None) -> None:
    (found,) = failures(run, write(tmp_path, cell(LOADS), indent=indent))["rules.sec002"]
    assert found["reason"].endswith(PLACE)
    assert (found["location"]["cell"], found["location"]["cell_line"]) == (2, 3)


def test_a_finding_in_a_python_file_names_no_cell(run: Run, tmp_path: Path) -> None:
    project = write(tmp_path, cell("x = 1\n"))
    (project / "zoo" / "load.py").write_text(LOADS)
    (found,) = failures(run, project)["rules.sec002"]
    assert "cell" not in found["reason"]
    assert (found["location"]["cell"], found["location"]["cell_line"]) == (None, None)


def test_a_syntax_error_names_its_cell_once(run: Run, tmp_path: Path) -> None:
    (found,) = failures(run, write(tmp_path, cell("x = 1\n\nx = = 2\n")))["static.parses"]
    assert found["reason"].count(PLACE) == 1
    assert (found["location"]["cell"], found["location"]["cell_line"]) == (2, 3)


def test_every_format_names_the_cell(run: Run, tmp_path: Path) -> None:
    project = write(tmp_path, cell(LOADS))

    def written(name: str) -> str:
        return run("static", "--target", str(project), "--only", "rules.sec002", "--format", name).stdout

    assert PLACE in run("static", "--target", str(project), "--only", "rules.sec002").stdout
    (result,) = json.loads(written("sarif"))["runs"][0]["results"]
    assert PLACE in result["message"]["text"]
    assert result["locations"][0]["properties"] == {"cell": 2, "cellLine": 3}
    assert any(
        line.startswith("::warning file=zoo/use.ipynb,") and PLACE in line for line in written("github").split("\n")
    )
    assert PLACE in str(ElementTree.fromstring(written("junit").encode()).find(".//failure").get("message"))  # type: ignore[union-attr]


@pytest.mark.parametrize("indent", [1, None])
def test_a_secret_in_the_code_of_a_notebook_is_reported_once(run: Run, tmp_path: Path, indent: int | None) -> None:
    project = write(tmp_path, cell(f"\n\ntoken = '{TOKEN}'\n", printed=f"{TOKEN}\n"), indent=indent)
    found = failures(run, project)
    assert "rules.sec008" not in found
    (secret,) = found["rules.sec006"]
    assert secret["reason"].endswith(PLACE)


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        (f"token = '{TOKEN}'\n", f"{PRINTED}\n"),  # another one that was printed
        (f"# {TOKEN}\n", ""),  # no literal, which alone SEC006 looks at
        (f"!export HF_TOKEN={TOKEN}\n", ""),
    ],
)
def test_a_secret_that_the_code_does_not_hold_is_still_reported(
    run: Run, tmp_path: Path, code: str, printed: str
) -> None:
    assert len(failures(run, write(tmp_path, cell(code, printed=printed)))["rules.sec008"]) == 1


def test_a_secret_in_code_is_reported_by_the_other_rule_where_the_first_is_off(run: Run, tmp_path: Path) -> None:
    project = write(tmp_path, cell(f"token = '{TOKEN}'\n"), more='disable = ["SEC006"]\n')
    assert len(failures(run, project)["rules.sec008"]) == 1
