"""`action.yml`: parsed, and its shell steps run by bash as GitHub would run them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

Project = Callable[..., Path]
ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
INSTALL, AUDIT = ACTION["runs"]["steps"]
BIN = Path(sys.executable).parent
UNBOUND = """from torch import nn


class Net(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(2, 2)
"""
# Writes the report that it is told to and leaves with the code that it is told to.
STUB = """#!/usr/bin/env bash
if [ "$1" = report ]; then echo '{}'; exit "$STUB_CODE"; fi
printf '%s\\n' "$@" > "$STUB_ARGUMENTS"
while [ "$1" != --output ]; do shift; done
mkdir -p "$2"
if [ -n "$STUB_REPORT" ]; then cp "$STUB_REPORT" "$2/$STUB_NAME"; fi
exit "$STUB_CODE"
"""


@dataclass(frozen=True)
class Step:
    """A step that has ended."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str


RunStep = Callable[..., Step]


@pytest.fixture
def run_step(tmp_path: Path) -> RunStep:
    """Runs a step with these inputs; those left out have the defaults of the action."""

    def run(step: dict[str, Any], *, cwd: Path = tmp_path, path: Path = BIN, inputs: Any = None, **env: str) -> Step:
        given = {name: each["default"] for name, each in ACTION["inputs"].items()} | (inputs or {})
        assert set(given) == set(ACTION["inputs"])

        def value(match: re.Match[str]) -> str:
            kind, _, name = match[1].strip().partition(".")
            assert kind == "inputs", match[0]
            return str(given[name])

        variables = {name: re.sub(r"\$\{\{(.*?)\}\}", value, text) for name, text in step.get("env", {}).items()}
        assert "${{" not in step["run"]
        files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=cwd,
            env=os.environ
            | {"PATH": f"{path}:{os.environ['PATH']}", "GITHUB_ACTION_PATH": str(ROOT), "TMPDIR": str(tmp_path)}
            | {name: str(file) for name, file in files.items()}
            | variables
            | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        lines = files["GITHUB_OUTPUT"].read_text().splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        return Step(done.returncode, done.stdout + done.stderr, outputs, files["GITHUB_STEP_SUMMARY"].read_text())

    return run


@pytest.fixture
def stubbed(run_step: RunStep, tmp_path: Path) -> Callable[..., Step]:
    """Runs the audit with a stub in place of the auditor."""

    def run(
        code: int, *, report: bool = True, name: str = "readiness.json", profile: str | None = None, **inputs: str
    ) -> Step:
        folder = tmp_path / "stub"
        folder.mkdir(exist_ok=True)
        (folder / "astrobio-audit").write_text(STUB)
        (folder / "astrobio-audit").chmod(0o755)
        content = tmp_path / "stub.json"
        content.write_text(json.dumps({"verdict": "incomplete", "profile": profile, "score": 0.5, "coverage": None}))
        return run_step(
            AUDIT,
            path=folder,
            inputs={key.replace("_", "-"): value for key, value in inputs.items()},
            STUB_CODE=str(code),
            STUB_REPORT=str(content) if report else "",
            STUB_NAME=name,
            STUB_ARGUMENTS=str(tmp_path / "arguments"),
        )

    return run


def test_every_output_is_one_that_the_step_writes(stubbed: Callable[..., Step]) -> None:
    named = {
        re.fullmatch(r"\$\{\{ steps\.audit\.outputs\.(.*) \}\}", each["value"])[1]
        for each in ACTION["outputs"].values()
    }  # type: ignore[index]
    assert named == set(ACTION["outputs"]) == set(stubbed(0).outputs)


@pytest.mark.parametrize(("profile", "output"), [("cpu", "cpu"), (None, "")])
def test_the_hardware_of_a_verdict_is_an_output_of_its_own(
    stubbed: Callable[..., Step], profile: str | None, output: str
) -> None:
    outputs = stubbed(3, profile=profile).outputs
    assert (outputs["verdict"], outputs["profile"]) == ("incomplete", output)


def test_every_input_reaches_the_command(stubbed: Callable[..., Step], tmp_path: Path) -> None:
    stubbed(0, target="a b", python="py thon", args="--only  smoke\n-x", output="out")
    assert (tmp_path / "arguments").read_text().splitlines() == [
        "readiness", "--target", "a b", "--output", "out", "--format", "github", "--python", "py thon", "--only",
        "smoke", "-x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fail_on", "codes"),
    [
        ("incomplete", {0: 0, 1: 1, 2: 2, 3: 3}),
        ("findings", {0: 0, 1: 1, 2: 2, 3: 0}),
        ("never", {0: 0, 1: 0, 2: 2, 3: 0}),
    ],
)
def test_what_fails_the_step_is_chosen(stubbed: Callable[..., Step], fail_on: str, codes: dict[int, int]) -> None:
    assert {code: stubbed(code, fail_on=fail_on).code for code in codes} == codes


@pytest.mark.parametrize("code", [0, 1, 3])
def test_an_audit_without_a_report_never_passes(stubbed: Callable[..., Step], code: int) -> None:
    done = stubbed(code, report=False, fail_on="never")
    assert done.code == (code or 3)
    assert "without a report" in done.log
    assert done.outputs == {"exit-code": str(code)}


def test_a_report_of_an_earlier_run_is_not_taken_for_this_one(stubbed: Callable[..., Step], tmp_path: Path) -> None:
    old = tmp_path / "reports" / "latest" / "readiness.json"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    os.utime(old, (0, 0))
    assert stubbed(0, report=False).code == 3
    assert stubbed(0, name="readiness.partial.json").outputs["report"] == "reports/latest/readiness.partial.json"


@pytest.mark.parametrize("name", ["command", "target", "python", "args", "output", "fail_on"])
@pytest.mark.parametrize("text", ["$(touch owned)", "; touch owned", "`touch owned`", "' ; touch owned ; '"])
def test_no_input_is_read_as_a_command(stubbed: Callable[..., Step], tmp_path: Path, name: str, text: str) -> None:
    stubbed(0, **{name: text})
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize(("name", "text"), [("fail_on", "nothing"), ("command", "--help"), ("command", "")])
def test_a_wrong_input_is_an_error_of_one_line(stubbed: Callable[..., Step], name: str, text: str) -> None:
    done = stubbed(0, **{name: text})
    assert done.code == 2
    assert done.log.startswith(f"::error title=astrobio-audit::{name.replace('_', '-')}: ")
    assert len(done.log.splitlines()) == 1


def test_an_auditor_that_is_there_is_not_installed_again(run_step: RunStep) -> None:
    done = run_step(INSTALL)
    assert (done.code, done.log.strip()) == (0, str(BIN / "astrobio-audit"))


def test_an_auditor_that_is_missing_is_installed_from_the_action(run_step: RunStep, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("bash", "env"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    (folder / "python").write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    (folder / "python").chmod(0o755)
    done = run_step(INSTALL, PATH=str(folder))
    assert done.log.splitlines() == ["-m", "pip", "install", str(ROOT)]


def test_findings_are_annotated_summarised_and_written_as_sarif(run_step: RunStep, project: Project) -> None:
    root = project(files={"zoo/net.py": UNBOUND})
    done = run_step(AUDIT, cwd=root, inputs={"command": "static", "output": "out put"})
    assert done.code == 1, done.log
    assert "::error file=zoo/net.py," in done.log
    assert done.outputs["verdict"] == "findings"
    assert 0 < float(done.outputs["score"]) < float(done.outputs["coverage"]) == 1
    assert (done.outputs["report"], done.outputs["exit-code"]) == ("out put/static.json", "1")
    sarif = json.loads((root / done.outputs["sarif"]).read_text())
    assert [each["ruleId"] for each in sarif["runs"][0]["results"]] == ["rules.mod001"]
    assert "**Verdict: findings**" in done.summary
