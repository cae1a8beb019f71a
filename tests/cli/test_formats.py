"""`--format`, and a finished report rendered again."""

import json
import re
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
    for command in ("attention", "smoke", "train", "readiness"):
        assert "<text|json|html|markdown|summary|sarif|github|junit|badge>" in run(command, "--help").stdout


FIRST = {
    "json": "{",
    "html": "<!doctype html>",
    "markdown": "**Partial run, no verdict: limited to a.py**",
    "summary": "**Partial run, no verdict: limited to a.py**",
    "sarif": "{",
    "github": "::warning file=sub/a.py",
    "junit": "<?xml version",
    "badge": "<svg xmlns",
}


@pytest.mark.parametrize("form", FIRST)
def test_every_format_goes_to_standard_output_or_into_a_file(
    run: Run, project: Path, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "out"
    printed = run("report", "render", "r.json", "--format", form, cwd=project)
    written = run("report", "render", "r.json", "--format", form, "--output", str(path), cwd=project)
    assert (printed.returncode, printed.stderr) == (1, "")
    assert (written.returncode, written.stdout, written.stderr) == (1, "", "")
    assert printed.stdout.startswith(FIRST[form])
    assert path.read_text() == printed.stdout
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_a_run_prints_the_page_that_its_report_gives_later(run: Run, project: Path) -> None:
    first = run("static", "a.py", "--format", "html", cwd=project)
    again = run("report", "render", "r.json", "--format", "html", cwd=project)
    assert first.returncode == again.returncode == 1

    def without_times(page: str) -> str:
        page = page[: page.index('<script type="application/json"')]  # where every duration is
        page = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z|<dd>[\d.e-]+ s</dd>", "", page)
        return re.sub("static a.py --(format html|json)", "", page)

    assert without_times(first.stdout) == without_times(again.stdout)


def test_a_file_for_text_or_in_no_folder_is_one_line(run: Run, project: Path) -> None:
    for arguments, code, expected in (
        (["--output", "x"], 2, "--output: text is for a terminal; name another --format"),
        (["--output", "absent/x", "--format", "html"], 3, "absent/x: could not be written: No such file or directory"),
        (["--output", ".", "--format", "html"], 3, "could not be written"),
    ):
        done = run("report", "render", "r.json", *arguments, cwd=project)
        assert (done.returncode, done.stdout) == (code, "")
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1


def test_annotations_come_with_a_summary_where_github_shows_one(run: Run, project: Path, tmp_path: Path) -> None:
    summary = run("report", "render", "r.json", "--format", "summary", cwd=project).stdout
    path = tmp_path / "step.md"
    path.write_text("before\n")
    env = {"GITHUB_STEP_SUMMARY": str(path)}
    plain = run("report", "render", "r.json", "--format", "github", cwd=project)
    done = run("report", "render", "r.json", "--format", "github", cwd=project, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (1, plain.stdout, "")
    assert path.read_text() == f"before\n{summary}\n"
    run("report", "render", "r.json", "--format", "junit", cwd=project, env=env)
    assert path.read_text() == f"before\n{summary}\n"


def test_a_summary_that_cannot_be_written_is_told_behind_the_annotations(run: Run, project: Path) -> None:
    env = {"GITHUB_STEP_SUMMARY": str(project / "absent" / "step.md")}
    done = run("report", "render", "r.json", "--format", "github", cwd=project, env=env)
    assert done.returncode == 3
    assert "::warning file=sub/a.py" in done.stdout
    assert done.stderr.startswith("astrobio-audit: GITHUB_STEP_SUMMARY ")
    assert done.stderr.count("\n") == 1
