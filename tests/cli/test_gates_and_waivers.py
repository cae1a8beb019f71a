"""Waivers and gates as a user meets them: in the configuration, on the terminal and in the exit code."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Project = Callable[..., Path]
SOFTMAX = """import torch
from torch import nn


class Attention(nn.Module):
    def forward(self, query, key, value):
        return torch.softmax(query @ key.transpose(-2, -1)) @ value
"""
NEXT_YEAR = (datetime.now(UTC) + timedelta(days=365)).date()


def waivers(*rows: Mapping[str, object]) -> str:
    text = ['[tool.astrobio-audit]\npackage = "zoo"\n']
    for row in rows:
        given = {"owner": "Ada", "reason": "mended in 2.0", "expires": NEXT_YEAR} | row
        text.append("[[tool.astrobio-audit.waivers]]\n")
        text += [f"{key} = {value if key == 'expires' else json.dumps(value)}\n" for key, value in given.items()]
    return "".join(text)


@pytest.fixture
def failing(project: Project, run: Run) -> Callable[..., Path]:
    """A package in which one rule finds something, with the given waivers."""

    def make(*rows: Mapping[str, object]) -> Path:
        return project(files={"zoo/attention.py": SOFTMAX, "pyproject.toml": waivers(*rows)})

    return make


def failures(done: subprocess.CompletedProcess[str]) -> set[tuple[str, str, str | None]]:
    return {
        (each["check"], each["subject"]["path"], each["waived"])
        for each in json.loads(done.stdout)["results"]
        if each["outcome"] == "failed"
    }


def test_a_waiver_is_told_beside_the_verdict_and_an_expired_one_counts_again(failing: Project, run: Run) -> None:
    root = failing()
    found = failures(run("static", "--json", cwd=root))
    assert found, "the fixture has lost its failure"
    rows = [{"check": check, "subject": path} for check, path, _ in found]
    (root / "pyproject.toml").write_text(waivers(*rows))
    done = run("static", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: clean" in done.stdout
    assert f"1 failure waived, by Ada until {NEXT_YEAR}: mended in 2.0" in done.stdout
    assert {each[:2] for each in failures(run("static", "--json", cwd=root))} == {each[:2] for each in found}
    (root / "pyproject.toml").write_text(waivers(*(row | {"expires": "2026-01-31"} for row in rows)))
    done = run("static", cwd=root)
    assert done.returncode == 1
    assert "it expired on 2026-01-31, and" in done.stdout


def test_a_commit_of_later_than_the_clock_ends_a_waiver(failing: Project, run: Run) -> None:
    root = failing()
    rows = [{"check": check, "subject": path} for check, path, _ in failures(run("static", "--json", cwd=root))]
    (root / "pyproject.toml").write_text(waivers(*rows))
    later = f"{NEXT_YEAR + timedelta(days=2)}T12:00:00+0000"
    as_of = os.environ | {"GIT_COMMITTER_DATE": later, "GIT_AUTHOR_DATE": later}
    me = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["add", "."], [*me, "commit", "-q", "-m", "later"]):
        subprocess.run(["git", *words], cwd=root, env=as_of, check=True)
    done = run("static", cwd=root)
    assert done.returncode == 1
    assert f"waivers are judged by the day of the commit, {NEXT_YEAR + timedelta(days=2)}" in done.stdout
    assert f"it expired on {NEXT_YEAR}" in done.stdout


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("gates = { min_scor = 1 }", "gates.min_scor: unknown key; did you mean 'min_score'?"),
        ("waivers = [{ check = 'a' }]", "waivers, entry 1, subject: field required"),
    ],
)
def test_a_wrong_key_is_one_line_and_2(project: Project, run: Run, table: str, expected: str) -> None:
    root = project(files={"pyproject.toml": f'[tool.astrobio-audit]\npackage = "zoo"\n{table}\n'})
    done = run("smoke", cwd=root)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"astrobio-audit: pyproject.toml: [tool.astrobio-audit] {expected} (line 3)\n"
