import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.report.publish import read_report

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def latest(tmp_path: Path) -> Path:
    """A copy of the repository's own published report, as the folder to publish from."""
    folder = tmp_path / "latest"
    folder.mkdir()
    (folder / "readiness.json").write_bytes((ROOT / "reports" / "readiness.json").read_bytes())
    return folder


def test_a_finished_report_is_published_and_the_paths_are_named(run: Run, latest: Path, tmp_path: Path) -> None:
    done = run("report", "publish", "--from", "latest", "--to", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "written: out/readiness.json\nwritten: out/readiness.md\nwritten: out/readiness.svg\n"
    assert read_report(tmp_path / "out" / "readiness.json") == read_report(latest / "readiness.json")
    assert (tmp_path / "out" / "readiness.md").read_text() == (ROOT / "reports" / "readiness.md").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"verdict": None, "partial": True, "partial_reason": "stopped"},
            "a partial report (stopped) is not published",
        ),
        ({"score": 0.123}, "not a valid report"),
        ({"results": []}, "not a valid report"),
    ],
)
def test_what_cannot_be_published_is_one_line_and_nothing_is_written(
    run: Run, latest: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    document = json.loads((latest / "readiness.json").read_text()) | changes
    (latest / "readiness.json").write_text(json.dumps(document))
    done = run("report", "publish", "--from", "latest", "--to", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("astrobio-audit: latest/readiness.json: ")
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_destination_that_cannot_be_is_one_line_that_names_it(run: Run, latest: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("report", "publish", "--from", "latest", "--to", "file", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("astrobio-audit: --to file: cannot be created")
