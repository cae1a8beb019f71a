"""Secrets, rules and pinned dependencies: each with a project that passes, one edit away, and none to judge."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from audit.results import Outcome
from audit.session import Request, conduct
from audit.static import analysis
from audit.static.rules.checks import plan_rules
from audit.target import Target
from validation.readiness.areas import plan_areas

from .written import SETTINGS, outcome, report_of, results, write

TOKEN = "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi"
KEY = "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAxK8s2mPq7vTn4Rj1Wb0YcLh3Zf9QdXo6Ue5Gk8Ni2Jt7Vy1B\n"
REQUIRES = '[project]\nname = "zoo"\nversion = "1"\ndependencies = ["torch>=2.11", "numpy"]\n' + SETTINGS


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"zoo/model.py": f"x = 1  # {TOKEN}\n"}, "zoo/model.py:1"),
        ({"zoo/model.py": f"x = 1\ny = '{TOKEN}'\n"}, "zoo/model.py:2"),
        ({".env": f"A=1\nHF_TOKEN={TOKEN}\n"}, ".env:2"),
        ({"deploy": f"#!/bin/sh\nexport T={TOKEN}\n"}, "deploy:2"),
        ({"docs/how.md": f"Use `{TOKEN}`.\n"}, "docs/how.md:1"),
        ({"keys/host": KEY}, "keys/host:1"),
    ],
)
def test_a_secret_fails_wherever_it_is_and_is_not_shown(tmp_path: Path, files: dict[str, Any], place: str) -> None:
    (result,) = results(tmp_path, "security.secrets", files)
    assert result.outcome is Outcome.FAILED
    assert result.location is not None
    assert f"{result.location.path}:{result.location.line}" == place
    text = report_of(tmp_path).model_dump_json()
    assert TOKEN not in text
    assert KEY.split("\n")[1] not in text
    assert TOKEN[:12] not in text


@pytest.mark.parametrize(
    "files",
    [
        {"zoo/model.py": "x = 1  # hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"},
        {"tests/data/host.pem": KEY},
        {".env": f"HF_TOKEN={TOKEN}\n", ".gitignore": ".env\n"},
        {"config.yaml": f"token: {TOKEN}  # noqa: SEC008\n"},
    ],
)
def test_what_is_no_secret_or_is_not_committed_passes(tmp_path: Path, files: dict[str, Any]) -> None:
    assert outcome(tmp_path, "security.secrets", files)[0] is Outcome.PASSED


def test_a_secret_that_git_has_although_it_is_ignored_fails(tmp_path: Path) -> None:
    write(tmp_path, {".env": f"HF_TOKEN={TOKEN}\n", ".gitignore": ".env\n"})
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert outcome(tmp_path, "security.secrets")[0] is Outcome.PASSED
    subprocess.run([*git, "add", "--force", ".env"], check=True)
    assert outcome(tmp_path, "security.secrets")[0] is Outcome.FAILED


def test_the_rules_on_security_are_counted(tmp_path: Path) -> None:
    check = "security.rules_hold"
    right = {"zoo/model.py": "import yaml\n\n\ndef read(text):\n    return yaml.safe_load(text)\n"}
    assert outcome(tmp_path / "right", check, right)[0] is Outcome.PASSED
    wrong = {"zoo/model.py": right["zoo/model.py"].replace("yaml.safe_load(text)", "yaml.load(text, yaml.Loader)")}
    assert outcome(tmp_path / "wrong", check, wrong) == (Outcome.FAILED, "found: SEC004 at zoo/model.py:5")
    broken = {**right, "zoo/broken.py": "def"}
    assert outcome(tmp_path / "broken", check, broken)[0] is Outcome.SKIPPED
    off = {**wrong, "pyproject.toml": f'{SETTINGS}disable = ["SEC"]\n'}
    assert outcome(tmp_path / "off", check, off)[0] is Outcome.NOT_APPLICABLE


def test_files_are_walked_once_for_the_rules_and_for_their_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[int] = []
    walk = analysis.judged_files

    def slowly(*given: Any, **named: Any) -> Any:
        walks.append(1)
        time.sleep(0.2)  # the other group asks meanwhile; until Python 3.12 cached_property would make it wait too
        return walk(*given, **named)

    monkeypatch.setattr(analysis, "judged_files", slowly)
    root = write(tmp_path, {"pyproject.toml": f"{SETTINGS}workers = 4\n"})
    request = Request(command="readiness", planners=[plan_rules, plan_areas], release=True, only=["rules", "security"])
    assert {each.check.partition(".")[0] for each in conduct(Target.load(root), request).results} == {
        "rules",
        "security",
    }
    assert walks == [1]


@pytest.mark.parametrize(
    "lock",
    [
        {"constraints.txt": "torch==2.13.0\nnumpy==2.4.6\n"},
        {"requirements.txt": "torch==2.13.0 --hash=sha256:00 \\\n  --hash=sha256:01\nNumPy==2.4.6 ; os_name\n"},
        {"uv.lock": '[[package]]\nname = "torch"\nversion = "2.13.0"\n\n[[package]]\nname = "numpy"\n'},
        {"Pipfile.lock": '{"default": {\n  "torch": {"version": "==2.13.0"},\n  "numpy": {\n}}}'},
    ],
)
def test_dependencies_that_some_file_pins_pass(tmp_path: Path, lock: dict[str, str]) -> None:
    assert outcome(tmp_path, "security.pinned", {"pyproject.toml": REQUIRES, **lock}) == (Outcome.PASSED, "")


def test_a_dependency_that_nothing_pins_fails(tmp_path: Path) -> None:
    files = {"pyproject.toml": REQUIRES, "constraints.txt": "torch==2.13.0\n"}
    (result,) = results(tmp_path, "security.pinned", files)
    assert (result.outcome, result.reason) == (
        Outcome.FAILED,
        "no file of the project names one version of 1: numpy",
    )
    assert result.location is not None
    assert (result.location.path, result.location.line) == ("pyproject.toml", 4)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("setup.py", "from setuptools import setup\nsetup(install_requires=['numpy>=2'])\n"),
        ("requirements/base.txt", "numpy\n"),
        ("pyproject.toml", f"{SETTINGS}[tool.poetry.dependencies]\npython = '^3.11'\nnumpy = '^2'\n"),
    ],
)
def test_requirements_are_read_wherever_they_are_declared(tmp_path: Path, path: str, content: str) -> None:
    found = outcome(tmp_path, "security.pinned", {path: content})
    assert found == (Outcome.FAILED, "no file of the project names one version of 1: numpy")


def test_a_project_without_requirements_is_not_concerned(tmp_path: Path) -> None:
    assert outcome(tmp_path, "security.pinned", {})[0] is Outcome.NOT_APPLICABLE
