"""`--config`, the variables and completion as a user meets them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Project = Callable[..., Path]
TABLE = 'package = "zoo"\nspecs = "zoo.specs"\n'
AREAS = (
    "plan",
    "static",
    "attention",
    "smoke",
    "train",
    "claims",
    "readiness",
    "mutate",
    "selftest",
    "bench",
    "fix",
    "doctor",
)


@pytest.mark.parametrize("area", AREAS)
def test_every_area_reads_the_file_that_is_named(run: Run, project: Project, area: str) -> None:
    root = project()
    (root / "other.toml").write_text("sed = 1\n")
    done = run(area, "--config", "other.toml", cwd=root)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr == "astrobio-audit: other.toml: sed: unknown key; did you mean 'seed'? (line 1)\n"


@pytest.mark.parametrize(
    ("name", "content", "origin"),
    [
        ("other.toml", "seed = -1", "other.toml: seed:"),
        ("other.toml", "[tool.astrobio-audit]\nseed = -1", "other.toml: [tool.astrobio-audit] seed:"),
        ("pyproject.toml", "[tool.astrobio-audit]\nseed = -1", "/pyproject.toml: [tool.astrobio-audit] seed:"),
        ("other.toml", "seed = ", "other.toml: not valid TOML"),
        ("absent.toml", None, "absent.toml: no such file; name a TOML file with the keys of [tool.astrobio-audit]"),
    ],
)
def test_what_is_wrong_in_it_is_one_line(
    run: Run, project: Project, tmp_path: Path, name: str, content: str | None, origin: str
) -> None:
    root = project()
    file = tmp_path / name
    if content is not None:
        file.write_text(content)
    done = run("smoke", "--config", str(file), cwd=root)
    assert done.returncode == 2
    assert origin in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_stands_in_place_of_the_table_and_not_beside_it(run: Run, project: Project) -> None:
    root = project(files={"pyproject.toml": f"[tool.astrobio-audit]\n{TABLE}seed = 5\n", "other.toml": TABLE})
    done = run("static", "--config", "other.toml", "--json", cwd=root)
    assert json.loads(done.stdout)["provenance"]["seed"] == 0
    done = run("static", "--json", cwd=root)
    assert json.loads(done.stdout)["provenance"]["seed"] == 5


def test_what_repeats_a_result_names_the_file(run: Run, project: Project, tmp_path: Path) -> None:
    root = project(files={"conf/other.toml": TABLE})
    (root / "pyproject.toml").unlink()
    done = run("static", "--target", str(root), "--config", str(root / "conf" / "other.toml"), "--json", cwd=tmp_path)
    results = json.loads(done.stdout)["results"]
    assert all("--config conf/other.toml " in each["evidence"]["reproduce"] for each in results)


def seed(done: subprocess.CompletedProcess[str]) -> int:
    found: int = json.loads(done.stdout)["provenance"]["seed"]
    return found


def test_a_flag_wins_over_the_variable_and_that_over_the_file(run: Run, project: Project) -> None:
    root = project(files={"pyproject.toml": f"[tool.astrobio-audit]\n{TABLE}seed = 1\n"})
    variable = {"ASTROBIO_AUDIT_SEED": "2"}
    assert seed(run("static", "--json", cwd=root)) == 1
    assert seed(run("static", "--json", cwd=root, env=variable)) == 2
    assert seed(run("static", "--json", "--seed", "3", cwd=root, env=variable)) == 3


def test_each_variable_is_obeyed(run: Run, project: Project) -> None:
    root = project(files={"other.toml": TABLE + "seed = 7\n"})
    assert seed(run("static", "--json", cwd=root, env={"ASTROBIO_AUDIT_CONFIG": "other.toml"})) == 7
    done = run("doctor", cwd=root, env={"ASTROBIO_AUDIT_PYTHON": "absent/python"})
    assert (done.returncode, "absent/python: no such interpreter" in done.stderr) == (2, True)
    done = run("smoke", cwd=root, env={"ASTROBIO_AUDIT_WORKERS": "0"})
    assert (done.returncode, "workers: input should be greater than or equal to 1" in done.stderr) == (2, True)
    done = run("smoke", cwd=root, env={"ASTROBIO_AUDIT_SEED": "one"})
    assert (done.returncode, "ASTROBIO_AUDIT_SEED" in done.stderr) == (2, True)


def test_the_cache_is_where_the_variable_says(run: Run, project: Project, tmp_path: Path) -> None:
    run("static", cwd=project(), env={"ASTROBIO_AUDIT_CACHE": str(tmp_path / "cache")})
    assert any((tmp_path / "cache").iterdir())


def test_no_color_is_obeyed(run: Run, project: Project) -> None:
    root = project(files={"zoo/broken.py": "def broken(:\n"})
    coloured = re.compile("\x1b\\[[0-9;]*(3[0-7]|9[0-7])m")
    shown = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert coloured.search(run("static", cwd=root, env=shown).stdout)
    assert not coloured.search(run("static", cwd=root, env=shown | {"NO_COLOR": "1"}).stdout)


# What bash does when the tab key is pressed behind these words.
PRESS_TAB = """
source {script}
COMP_WORDS=(astrobio-audit {words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_astrobio_audit_completion astrobio-audit
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def in_bash(script: str, home: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("_")}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", script],
        env=kept | {"HOME": str(home), "PATH": path, "SHELL": "/bin/bash"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sm", {"smoke"}),
        ("re", {"readiness", "report"}),
        ("smoke --see", {"--seed"}),
        ("report ren", {"render"}),
        ("static --format sa", {"sarif"}),
    ],
)
def test_bash_completes_commands_options_and_values(tmp_path: Path, words: str, expected: set[str]) -> None:
    # The trailing `true` keeps bash the parent of the program, which looks there for the shell to write for.
    shown = in_bash("astrobio-audit --show-completion; true", tmp_path)
    assert "_astrobio_audit_completion()" in shown.stdout, shown.stderr
    (tmp_path / "completion.sh").write_text(shown.stdout)
    done = in_bash(PRESS_TAB.format(script=tmp_path / "completion.sh", words=words), tmp_path)
    assert set(done.stdout.split()) == expected, done.stderr


def test_bash_completion_is_installed_into_the_home_folder(tmp_path: Path) -> None:
    done = in_bash("astrobio-audit --install-completion; true", tmp_path)
    assert "bash completion installed" in done.stdout, done.stderr
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(written) == [".bash_completions/astrobio-audit.sh", ".bashrc"]
