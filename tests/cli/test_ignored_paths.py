import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
LOAD = "import torch\n\nstate = torch.load('a')\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("zoo.py", "tests/test_zoo.py", "tests/load.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(LOAD)
    return tmp_path


def configure(project: Path, table: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.astrobio-audit.per_path_ignores]\n{table}\n")


def results(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str]]:
    found = json.loads(done.stdout)["results"]
    return [(each["outcome"], each["evidence"]["bound_origin"] or each["location"]["path"]) for each in found]


def test_a_rule_ignored_for_a_path_still_counts_elsewhere(run: Run, project: Path) -> None:
    configure(project, '"tests/**" = ["SEC001"]')
    done = run("static", "--only", "rules.sec001", "--json", cwd=project)
    assert results(done) == [("failed", "zoo.py")]
    assert done.returncode == 1


def test_what_is_ignored_is_counted_in_the_evidence_of_the_pass(run: Run, project: Path) -> None:
    configure(project, '"tests/**" = ["SEC001"]\n"zoo.py" = ["SEC*"]')
    done = run("static", "--only", "rules.sec001", "--json", cwd=project)
    expected = "SEC001 may find nothing in the 3 files read; 3 ignored by `per_path_ignores`"
    assert results(done) == [("passed", expected)]
    assert done.returncode == 0


def test_a_misspelt_rule_is_one_line_with_the_nearest(run: Run, project: Path) -> None:
    configure(project, '"tests/**" = ["SEC01"]')
    done = run("static", cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "astrobio-audit: [tool.astrobio-audit] per_path_ignores: 'tests/**': no rule or family is called SEC01; "
        "did you mean SEC001?\n"
    )


def test_a_table_of_another_type_is_one_line(run: Run, project: Path) -> None:
    configure(project, '"tests/**" = "SEC001"')
    done = run("static", cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert "per_path_ignores.tests/**: input should be a list" in done.stderr
