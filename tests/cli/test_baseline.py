import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
SECRET = "key = 'AKIA" + "Z7QK3MWXN5RTPLVB'\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\n')
    (tmp_path / "zoo" / "__init__.py").write_text(
        "import torch\n\n\nclass Model(torch.nn.Module):\n    state = torch.load('a')\n"
    )
    return tmp_path


def test_a_finding_of_the_baseline_does_not_count_and_a_new_one_does(run: Run, project: Path) -> None:
    first = run("static", "--write-baseline", "known.json", cwd=project)
    assert first.returncode == 0
    again = run("static", "--baseline", "known.json", cwd=project)
    assert again.stdout.splitlines()[0] == "1 failure is in the baseline known.json, and does not count here"
    assert again.returncode == 0
    source = project / "zoo" / "__init__.py"
    source.write_text("# a line more\n" + source.read_text() + "\n\ntorch.load('b')\n")
    new = run("static", "--baseline", "known.json", cwd=project)
    assert new.returncode == 1
    assert "zoo/__init__.py:9" in new.stdout
    assert "zoo/__init__.py:6" not in new.stdout
    grown = run("static", "--write-baseline", "known.json", cwd=project)
    assert (grown.returncode, grown.stdout) == (2, "")
    assert "1 finding is not in it, and a baseline only shrinks" in grown.stderr


def test_the_configuration_can_name_the_baseline_and_what_is_gone_is_taken_out(run: Run, project: Path) -> None:
    assert run("static", "-q", "--write-baseline", "known.json", cwd=project).returncode == 0
    table = project / "pyproject.toml"
    table.write_text(table.read_text() + 'baseline = "known.json"\n')
    assert run("static", "-q", "--target", str(project), cwd=project.parent).returncode == 0
    (project / "zoo" / "__init__.py").write_text("import torch\n\n\nclass Model(torch.nn.Module):\n    pass\n")
    lines = run("static", cwd=project).stdout.splitlines()
    assert lines[1] == ("1 entry of the baseline known.json can be removed: what it lists is gone (--write-baseline)")
    assert run("static", "-q", "--write-baseline", "known.json", cwd=project).returncode == 0
    assert json.loads((project / "known.json").read_text())["entries"] == []


def test_no_release_is_ready_by_a_baseline(run: Run, project: Path) -> None:
    (project / "zoo" / "__init__.py").write_text("import torch\n\n\nclass Model(torch.nn.Module):\n    pass\n" + SECRET)
    table = project / "pyproject.toml"
    table.write_text(table.read_text() + 'baseline = "known.json"\n')
    arguments = ("--only", "static", "--only", "rules", "--json", "--quiet")
    assert run("static", "--write-baseline", "known.json", *arguments, cwd=project).returncode == 0
    done = run("readiness", *arguments, "--output", str(project / "out"), cwd=project)
    assert done.returncode == 1
    (found,) = [each for each in json.loads(done.stdout)["results"] if each["check"] == "rules.sec006"]
    assert (found["outcome"], found["set_apart"]) == ("failed", None)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--baseline", "absent.json"], "baseline absent.json: cannot be read"),
        (["--write-baseline", "pyproject.toml"], "baseline pyproject.toml: not a baseline"),
        (["--write-baseline", "absent/b.json"], "could not be written"),
        (["--baseline", "a", "--write-baseline", "b"], "to shorten a baseline the second is enough"),
    ],
)
def test_a_baseline_that_cannot_be_used_is_one_line(
    run: Run, project: Path, arguments: list[str], expected: str
) -> None:
    done = run("static", *arguments, cwd=project)
    assert done.returncode == (3 if "written" in expected else 2)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr
