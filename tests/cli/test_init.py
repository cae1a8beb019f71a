"""`astrobio-audit init` as a process: what it writes works, and what exists stays as it is."""

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ..slow_cases import slow

Run = Callable[..., subprocess.CompletedProcess[str]]
Small = Callable[..., Path]
SPECS = "zoo/specs.py"
WORKFLOW = ".github/workflows/astrobio-audit.yml"


def files_in(root: Path) -> dict[str, bytes]:
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if "__pycache__" not in name}


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["src", *slow(".")])
def test_what_it_writes_works_in_static_and_smoke(run: Run, small: Small, folder: str) -> None:
    root = small(folder)
    done = run("init", cwd=root)
    assert done.returncode == 0, done.stderr
    specs = (Path(folder) / SPECS).as_posix()
    assert done.stdout.splitlines()[:3] == ["written: pyproject.toml", f"written: {specs}", f"written: {WORKFLOW}"]
    assert run("static", cwd=root).returncode == 0
    smoke = run("smoke", "--json", cwd=root)
    assert smoke.returncode in (0, 3), smoke.stdout + smoke.stderr
    built = [each for each in json.loads(smoke.stdout)["results"] if each["check"] == "smoke.build"]
    assert [each["outcome"] for each in built] == ["passed"]


def test_its_workflow_calls_commands_that_exist(run: Run, small: Small) -> None:
    root = small()
    assert run("init", cwd=root).returncode == 0
    workflow = yaml.safe_load((root / WORKFLOW).read_text())
    (job,) = workflow["jobs"].values()
    commands = [step["run"].split() for step in job["steps"] if "run" in step]
    own = [words[1:] for words in commands if words[0] == "astrobio-audit"]
    assert len(own) == 2
    for words in own:
        done = run(*words, cwd=root)
        assert done.returncode in (0, 1, 3), done.stderr
    assert (root / "reports" / "latest" / "readiness.json").is_file()


def test_a_second_run_leaves_everything_as_it_is(run: Run, small: Small) -> None:
    root = small()
    run("init", cwd=root)
    before = files_in(root)
    done = run("init", cwd=root)
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if line.startswith(("written", "added"))] == []
    assert done.stdout.count("exists") == 3
    assert files_in(root) == before


def test_what_exists_is_left_and_said(run: Run, small: Small) -> None:
    table = '[project]\nname = "other-name"\nversion = "1"\n\n[tool.astrobio-audit]\npackage = "zoo"\n'
    root = small(pyproject_dot_toml=table, zoo__specs_dot_py="MINE = 1\n")
    done = run("init", cwd=root)
    assert done.returncode == 0
    assert "left: [tool.astrobio-audit] exists in pyproject.toml" in done.stdout
    assert '[tool.astrobio-audit] has to say: specs = "zoo.audit_specs"' in done.stdout
    assert (root / "pyproject.toml").read_text() == table
    assert (root / SPECS).read_text() == "MINE = 1\n"
    assert (root / "zoo" / "audit_specs.py").is_file()


def test_the_table_is_added_behind_what_a_pyproject_says(run: Run, small: Small) -> None:
    before = '[project]\nname = "zoo"\nversion = "1"  # no line break at the end'
    root = small(pyproject_dot_toml=before)
    assert run("init", cwd=root).returncode == 0
    after = (root / "pyproject.toml").read_text()
    assert after.startswith(before)
    assert tomllib.loads(after)["tool"]["astrobio-audit"] == {"package": "zoo"}


def test_a_dry_run_shows_all_and_writes_nothing(run: Run, small: Small) -> None:
    root = small()
    before = files_in(root)
    done = run("init", "--dry-run", cwd=root)
    assert done.returncode == 0
    for name in ("pyproject.toml", SPECS, WORKFLOW):
        assert f"{name}:" in done.stdout
    assert 'package = "zoo"' in done.stdout
    assert files_in(root) == before


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("tool = {}\n", "cannot follow what stands there"),
        ("[tool\n", "not valid TOML"),
        ("[tool.astrobio-audit]\npackge = 'zoo'\n", "unknown key; did you mean 'package'?"),
        ("[tool.astrobio-audit]\npackage = 'absent'\n", "package 'absent' not found"),
    ],
)
def test_a_pyproject_that_cannot_be_used_is_one_line_and_nothing_is_written(
    run: Run, small: Small, content: str, expected: str
) -> None:
    root = small(pyproject_dot_toml=content)
    before = files_in(root)
    done = run("init", cwd=root)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert files_in(root) == before


def test_several_packages_are_named_and_one_has_to_be_chosen(run: Run, small: Small) -> None:
    root = small()
    (root / "farm").mkdir()
    (root / "farm" / "__init__.py").touch()
    refused = run("init", cwd=root)
    assert refused.returncode == 2
    assert "there are farm, zoo; pass --package NAME" in refused.stderr
    assert run("init", "--package", "zoo", cwd=root).returncode == 0


def test_a_module_with_the_name_of_the_project_is_its_package(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "größe"\nversion = "1"\n', encoding="utf-8")
    assert run("init", cwd=tmp_path).returncode == 2
    (tmp_path / "größe.py").write_text("WIDTH = 1\n")
    done = run("init", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'package = "größe"' in (tmp_path / "pyproject.toml").read_text(encoding="utf-8")


def test_nothing_is_written_through_a_link_that_leads_out(run: Run, small: Small, tmp_path: Path) -> None:
    root = small()
    (tmp_path / "elsewhere").mkdir()
    (root / ".github").symlink_to(tmp_path / "elsewhere")
    (root / SPECS).symlink_to(tmp_path / "absent.py")
    done = run("init", cwd=root)
    assert done.returncode == 0
    assert f"left: {WORKFLOW}: .github is a link that leads out of the project" in done.stdout
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert not (tmp_path / "absent.py").exists()


def test_a_pyproject_that_is_a_link_stays_one_and_the_table_is_where_it_leads(run: Run, small: Small) -> None:
    root = small(real_dot_toml='[project]\nname = "zoo"\nversion = "1"\n')
    (root / "pyproject.toml").symlink_to("real.toml")
    done = run("init", cwd=root)
    assert done.returncode == 0, done.stderr
    assert (root / "pyproject.toml").is_symlink()
    assert tomllib.loads((root / "real.toml").read_text())["tool"]["astrobio-audit"] == {"package": "zoo"}


@pytest.mark.parametrize(
    ("leads_to", "expected"),
    [("../shared.toml", "is a link that leads out of the project"), ("absent.toml", "a file that is not there")],
)
def test_a_pyproject_that_is_another_ones_or_nothing_is_refused(
    run: Run, small: Small, leads_to: str, expected: str
) -> None:
    root = small()
    (root.parent / "shared.toml").write_text('[project]\nname = "zoo"\nversion = "1"\n')
    (root / "pyproject.toml").symlink_to(leads_to)
    before = files_in(root.parent)
    done = run("init", cwd=root)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert (root / "pyproject.toml").is_symlink()
    assert files_in(root.parent) == before


def test_the_lines_of_the_table_end_as_those_above_it(run: Run, small: Small) -> None:
    root = small()
    (root / "pyproject.toml").write_bytes(b'[project]\r\nname = "zoo"\r\nversion = "1"')
    shown = run("init", "--dry-run", cwd=root)
    assert '    package = "zoo"\n' in shown.stdout
    assert run("init", cwd=root).returncode == 0
    content = (root / "pyproject.toml").read_bytes()
    assert content.count(b"\n") == content.count(b"\r\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (".", "dotted name"),
        ("..", "dotted name"),
        ("", "dotted name"),
        ("/etc", "dotted name"),
        ("a" * 5000, "not found in"),
    ],
    ids=["here", "above", "empty", "elsewhere", "long"],
)
def test_a_package_that_is_no_name_is_refused(run: Run, small: Small, name: str, expected: str) -> None:
    root = small()
    before = files_in(root)
    done = run("init", "--package", name, cwd=root)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stderr) < 1000
    assert files_in(root) == before
