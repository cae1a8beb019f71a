"""This project's own workflows and hooks: what they call exists."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]
Project = Callable[..., Path]
ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CI: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
OWN_HOOKS = [
    hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]
]
SCRIPTS = [
    (job, step["run"])
    for path in WORKFLOWS
    for job, each in yaml.safe_load(path.read_text())["jobs"].items()
    for step in each["steps"]
    if "run" in step
]
OWN_COMMANDS = re.findall(r"(?:^|/)astrobio-audit (.*)$", "\n".join(text for _, text in SCRIPTS), flags=re.MULTILINE)


def steps_of(job: str, key: str) -> Iterator[Any]:
    return (step[key] for step in CI[job]["steps"] if key in step)


@pytest.mark.parametrize(("job", "script"), SCRIPTS)
def test_every_script_parses(job: str, script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    called = {word for _, script in SCRIPTS for word in re.findall(r"^make ([a-z-]+)$", script, flags=re.MULTILINE)}
    assert called
    assert called <= targets


def test_every_command_of_ours_exists(run: Run) -> None:
    assert OWN_COMMANDS
    for line in OWN_COMMANDS:
        done = run(*shlex.split(line), "--help")
        assert done.returncode == 0, done.stderr


def test_every_action_of_ours_takes_the_inputs_it_is_given() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    used = [step for job in CI.values() for step in job["steps"] if step.get("uses") == "./"]
    assert used
    for step in used:
        assert set(step["with"]) <= set(action["inputs"])


def test_tests_and_readiness_run_on_both_versions() -> None:
    for job in ("test", "readiness"):
        assert CI[job]["strategy"]["matrix"]["python"] == ["3.11", "3.12"]
    assert {"make test", "make test-slow"} <= set(steps_of("test", "run"))
    assert list(steps_of("lint", "run")) == ["make lint"]
    assert any(use.startswith("actions/upload-artifact@") for use in steps_of("readiness", "uses"))


def test_the_gpu_job_runs_where_a_runner_is_named_and_is_visibly_left_out_elsewhere() -> None:
    assert CI["gpu"]["if"] == "vars.GPU_RUNNER != ''"
    assert CI["no-gpu"]["if"] == "vars.GPU_RUNNER == ''"
    (script,) = steps_of("no-gpu", "run")
    assert script.startswith('echo "::warning title=No GPU::')
    assert "GITHUB_STEP_SUMMARY" in script


def test_the_hook_that_others_use_finds_what_is_wrong(run: Run, project: Project) -> None:
    (hook,) = HOOKS
    program, *arguments = shlex.split(hook["entry"])
    assert program == "astrobio-audit"
    assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True)
    root = project()
    assert run(*arguments, cwd=root).returncode == 0
    (root / "zoo" / "model.py").write_text("def broken(:\n")
    assert run(*arguments, cwd=root).returncode == 1


@pytest.mark.parametrize("hook", OWN_HOOKS, ids=lambda hook: str(hook["id"]))
def test_every_hook_of_this_project_calls_what_the_development_environment_has(hook: dict[str, Any]) -> None:
    program, *arguments = shlex.split(hook["entry"])
    tool = Path(sys.executable).with_name(Path(program).name)
    assert program == f".venv/bin/{tool.name}"
    done = subprocess.run([tool, *arguments, "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
