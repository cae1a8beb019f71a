"""`--format`, and a finished report rendered again."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """A folder inside a repository, with a report of it in `r.json`."""
    top = tmp_path_factory.mktemp("repository")
    (top / ".git").mkdir()
    folder = top / "sub"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "a.py").write_text("import torch\n\nx = 'é'; state = torch.load('a')\n")
    (folder / "r.json").write_text(run("static", "a.py", "--json", cwd=folder).stdout)
    return folder


def test_a_run_and_its_report_rendered_later_give_the_same_log_of_places_in_the_repository(
    run: Run, project: Path
) -> None:
    first = run("static", "a.py", "--format", "sarif", cwd=project)
    again = run("report", "render", "r.json", "--format", "sarif", cwd=project)
    assert (first.returncode, first.stderr, again.returncode, again.stderr) == (1, "", 1, "")
    (then,), (now,) = json.loads(first.stdout)["runs"], json.loads(again.stdout)["runs"]
    assert {**then, "invocations": []} == {**now, "invocations": []}
    (place,) = now["results"][0]["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "sub/a.py"},
        "region": {"startLine": 3, "startColumn": 18, "endLine": 3, "endColumn": 33},
    }


def test_annotations_name_the_place_in_the_repository(run: Run, project: Path) -> None:
    done = run("report", "render", "r.json", "--format", "github", cwd=project)
    line = done.stdout.splitlines()[0]
    assert line.startswith("::warning file=sub/a.py,line=3,col=18,endColumn=33,title=rules.sec001::")
    assert done.returncode == 1


def test_junit_is_a_document_with_the_failure(run: Run, project: Path) -> None:
    root = ElementTree.fromstring(run("report", "render", "r.json", "--format", "junit", cwd=project).stdout.encode())
    assert root.get("failures") == "1"


def test_text_is_the_default_of_render_and_json_the_report_as_it_is(run: Run, project: Path) -> None:
    text = run("report", "render", "r.json", cwd=project)
    assert text.stdout.splitlines()[0] == "partial run, no verdict: limited to a.py"
    assert text.returncode == 1
    assert run("report", "render", "r.json", "--json", cwd=project).stdout == (project / "r.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["static", "--json", "--format", "sarif"], "--json and --format sarif ask for different formats"),
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


def test_other_areas_have_the_formats_too(run: Run) -> None:
    for command in ("attention", "smoke", "readiness"):
        assert "--format" in run(command, "--help").stdout
