"""`--statistics`, `--add-noqa`, `--diff-base` and `--watch` of `static`, as processes."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
BODY = "".join(f"x{number} = {number}\n" for number in range(10))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "zoo" / "a.py").write_text(f"import torch\n{BODY}torch.load('a')\n")
    (tmp_path / "zoo" / "b.py").write_text("import torch\n\ntorch.load(\n    'b')  # because\n")
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        check=True,
        capture_output=True,
    )


def test_statistics_count_by_check(run: Run, project: Path) -> None:
    done = run("static", "--statistics", cwd=project)
    assert done.returncode == 1
    assert done.stdout == "2  rules.sec001    minor     SEC001: `torch.load` without `weights_only`\n2 in all\n"
    assert [row["count"] for row in json.loads(run("static", "--statistics", "--json", cwd=project).stdout)] == [2]


def test_statistics_do_not_keep_the_report_from_being_written(run: Run, project: Path, tmp_path: Path) -> None:
    assert run("static", "--statistics", "--output", str(tmp_path / "out"), cwd=project).returncode == 1
    assert json.loads((tmp_path / "out" / "static.json").read_text())["verdict"] == "findings"


def test_add_noqa_silences_everything_and_does_nothing_the_second_time(run: Run, project: Path) -> None:
    done = run("static", "--add-noqa", cwd=project)
    assert (done.returncode, done.stderr) == (0, "silenced 2 findings in 2 files\n")
    assert (project / "zoo" / "b.py").read_text() == (
        "import torch\n\ntorch.load(  # noqa: SEC001\n    'b')  # because\n"
    )
    before = {path: path.read_bytes() for path in project.rglob("*.py")}
    again = run("static", "--add-noqa", cwd=project)
    assert (again.returncode, again.stderr) == (0, "silenced 0 findings in 0 files\n")
    assert {path: path.read_bytes() for path in project.rglob("*.py")} == before


def test_diff_base_counts_only_what_is_new_also_in_a_renamed_file(run: Run, project: Path) -> None:
    git(project, "init", "-q")
    git(project, "add", "--all")
    git(project, "commit", "-q", "-m", "first")
    git(project, "mv", "zoo/a.py", "zoo/c.py")
    done = run("static", "--diff-base", "HEAD", cwd=project)
    assert done.returncode == 0
    assert done.stdout.splitlines()[:2] == [
        "partial run, no verdict: limited to what is new since HEAD",
        "2 failures are in revision HEAD, and do not count here",
    ]
    (project / "zoo" / "c.py").write_text("# a line\n" + (project / "zoo" / "c.py").read_text() + "torch.load('c')\n")
    new = run("static", "zoo/c.py", "--diff-base", "HEAD", "--json", cwd=project)
    assert new.returncode == 1
    failed = [each for each in json.loads(new.stdout)["results"] if each["outcome"] == "failed"]
    assert [(each["location"]["line"], each["set_apart"]) for each in failed] == [(13, "in revision HEAD"), (14, None)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--diff-base", "HEAD"], "--diff-base HEAD: "),
        (["--watch", "--json"], "--watch writes lines of text"),
        (["--watch", "--add-noqa"], "--watch only looks"),
        (["--add-noqa", "--write-baseline", "b"], "two ways to live with a finding"),
        (["--statistics", "--format", "sarif"], "--statistics has no form sarif"),
    ],
)
def test_what_contradicts_itself_or_needs_git_is_one_line(
    run: Run, project: Path, arguments: Sequence[str], expected: str
) -> None:
    done = run("static", *arguments, cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr


def test_watch_tells_what_changes_and_ends_with_the_last_exit_code(
    program: Sequence[str], program_environment: Mapping[str, str], project: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output.txt"
    with output.open("w") as stream:
        process = subprocess.Popen(
            [*program, "static", "--watch", "zoo"],
            cwd=project,
            env=program_environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for("Ctrl-C ends it", output, process)
            (project / "zoo" / "a.py").write_text("x = 1\n")
            (project / "zoo" / "b.py").unlink()
            wait_for("0 failures", output, process)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
    text = output.read_text()
    assert "  - rules.sec001 zoo/a.py `torch.load` is called without `weights_only`\n" in text
    assert "Traceback" not in text


def wait_for(words: str, output: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while words not in output.read_text():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < end, output.read_text()
        time.sleep(0.1)
