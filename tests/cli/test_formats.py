"""`--format`, and a finished report rendered again."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "a.py").write_text("import torch\n\nx = 'é'; state = torch.load('a')\n")
    return folder


@pytest.mark.parametrize("form", ["sarif", "github", "junit", "json"])
def test_a_report_rendered_later_is_what_the_run_itself_prints(run: Run, project: Path, form: str) -> None:
    first = run("static", "a.py", "--format", form, cwd=project)
    assert (first.returncode, first.stderr) == (1, "")
    (project / "r.json").write_text(run("static", "a.py", "--json", cwd=project).stdout)
    again = run("report", "render", "r.json", "--format", form, cwd=project)
    assert again.returncode == 1
    assert len(again.stdout.splitlines()) == len(first.stdout.splitlines())
    assert "a.py" in again.stdout


def test_places_are_those_of_the_repository_in_each_format(run: Run, project: Path) -> None:
    log = json.loads(run("static", "a.py", "--format", "sarif", cwd=project).stdout)
    (place,) = log["runs"][0]["results"][0]["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "sub/a.py"},
        "region": {"startLine": 3, "startColumn": 18, "endLine": 3, "endColumn": 33},
    }
    line = run("static", "a.py", "--format", "github", cwd=project).stdout.splitlines()[0]
    assert line.startswith("::warning file=sub/a.py,line=3,col=18,endColumn=33,title=rules.sec001::")
    root = ElementTree.fromstring(run("static", "a.py", "--format", "junit", cwd=project).stdout.encode())
    assert root.get("failures") == "1"


def test_text_is_the_default_of_render(run: Run, project: Path) -> None:
    (project / "r.json").write_text(run("static", "a.py", "--json", cwd=project).stdout)
    assert run("report", "render", "r.json", cwd=project).stdout == run("static", "a.py", cwd=project).stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["static", "--json", "--format", "sarif"], "--json and --format sarif ask for different formats"),
        (["report", "render", "absent.json"], "absent.json: cannot be read"),
        (["report", "render", "a.py", "--format", "junit"], "a.py: not a valid report"),
    ],
)
def test_a_format_that_cannot_be_given_is_one_line(
    run: Run, project: Path, arguments: list[str], expected: str
) -> None:
    done = run(*arguments, cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


def test_other_areas_have_the_formats_too(run: Run, fixtures: Path) -> None:
    done = run("attention", "--target", str(fixtures / "attention" / "undeclared"), "--format", "sarif")
    notifications = json.loads(done.stdout)["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert notifications
    assert done.returncode == 3
