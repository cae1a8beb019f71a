"""Writes small packages, one of whose models is hostile, and audits them with the real command line."""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

import pytest

from validation.smoke.registry import MODEL_CHECKS

COMMAND = Path(sys.executable).with_name("astrobio-audit")
MARK = "ASTROBIO_AUDIT_TEST_RUN"
_OF_MODELS = tuple(each.check.id.partition(".")[2] for each in MODEL_CHECKS)
BESIDE = ("meta_build", "compile", "export", "attention")  # checks of models in groups of their own
# The models here promise no loss, tie and freeze nothing, take no mask, have no attention and offer no checkpointing.
NOT_CONCERNED = {
    "initial_loss",
    "tied_weights",
    "declared_frozen",
    "padding_leaks",
    "padded_rows",
    "future_leaks",
    "next_token",
    "residual",
    "inference",
    "generates",
    "attention",
    "checkpointing",
}

MODEL = """
import ast, builtins, ctypes, gc, io, os, signal, subprocess, sys, threading, time
import torch
from torch import nn

{module}

class {name}(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 2)

    def forward(self, x):
{forward}
        return self.linear(x)
"""

SPECS = """
import torch
{imports}

def inputs(batch_size, generator):
    return {{"x": torch.randn(batch_size, 6, generator=generator)}}

def loss(output, inputs):
    return (output - inputs["x"][:, :2]).square().mean()

MODELS = {{
{models}
}}
ATTENTION = {{}}
"""


@dataclass(frozen=True)
class Hostile:
    """What is wrong with a model: code at the head of its `forward`, and code at the head of its module."""

    forward: str = "pass"
    module: str = ""


@dataclass(frozen=True)
class Audited:
    """What the command left behind."""

    exit_code: int
    stdout: str
    stderr: str
    report: dict[str, object]
    outcomes: Mapping[tuple[str, str], str]
    reasons: Mapping[tuple[str, str], str]
    survivors: list[str]
    changed_files: list[str]
    temporary_files: list[str]

    def of(self, subject: str) -> dict[str, str]:
        """Return the outcomes of one subject's checks."""
        return {check.partition(".")[2]: outcome for (check, name), outcome in self.outcomes.items() if name == subject}

    def reason(self, check: str, subject: str) -> str:
        """Return why a check on a subject ended as it did."""
        return self.reasons[f"smoke.{check}", subject]


def _write_package(root: Path, hostiles: Mapping[str, Hostile], modules: Mapping[str, str], settings: str) -> Path:
    """Write a package `zoo` with a healthy model `z_healthy`, hostile models, and modules that nothing imports.

    `z_healthy` is judged last, in the process that the hostile models had.
    """
    models = {**hostiles, "z_healthy": Hostile()}
    package = root / "zoo"
    package.mkdir(parents=True)
    (root / "pyproject.toml").write_text(
        f'[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\nworkers = 1\n{settings}\n'
    )
    (package / "__init__.py").write_text('"""Models."""\n')
    entries = []
    for name, model in models.items():
        body = indent(dedent(model.forward).strip(), " " * 8)
        text = MODEL.format(module=dedent(model.module), name=class_of(name), forward=body)
        (package / f"{name}.py").write_text(text)
        entries.append(
            f'    "{name}": {{"class": "zoo.{name}:{class_of(name)}", "build": {class_of(name)}, "inputs": inputs, '
            f'"loss": loss}},'
        )
    imports = "\n".join(f"from zoo.{name} import {class_of(name)}" for name in models)
    (package / "specs.py").write_text(SPECS.format(imports=imports, models="\n".join(entries)))
    for name, text in modules.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return root


def class_of(name: str) -> str:
    """Return the name of the class that implements the model `name`."""
    return "".join(part.capitalize() for part in name.split("_")) + "Model"


def planned_of(root: Path, models: list[str], modules: list[str]) -> set[tuple[str, str]]:
    """Return what a smoke run on such a package must have a result for: check and subject."""
    planned = {(f"smoke.{check}", model) for model in models for check in (*_OF_MODELS, *BESIDE)}
    planned |= {("smoke.reached", f"zoo.{model}:{class_of(model)}") for model in models}
    planned |= {("smoke.import", module) for module in ["zoo", "zoo.specs", *(f"zoo.{m}" for m in models), *modules]}
    return planned | {(f"smoke.{check}", "zoo") for check in ("declared", "device", "extensions", "data_declared")}


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Callable[..., Audited]]:
    """Runs `astrobio-audit` on a folder as a process of its own, and looks at what it left behind."""
    marks: list[str] = []

    def run(root: Path, *arguments: str, command: str = "smoke", within_s: float = 280) -> Audited:
        temporary = tmp_path / f"temporary{len(marks)}"
        temporary.mkdir()
        marks.append(uuid.uuid4().hex)
        before = _content(root)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(
            [COMMAND, command, "--target", root, "--json", "--quiet", *arguments],
            capture_output=True,
            timeout=within_s,
            check=False,
            env={**environment, MARK: marks[-1], "TMPDIR": str(temporary)},
            cwd=tmp_path,
        )
        survivors = _survivors(marks[-1])
        stdout, stderr = done.stdout.decode(), done.stderr.decode()
        assert stdout, f"no report; exit code {done.returncode}, standard error:\n{stderr}"
        report = json.loads(stdout)
        results = {(each["check"], _name(each["subject"])): each for each in report["results"]}
        assert len(results) == len(report["results"]), "two results of one check on one subject"
        after = _content(root)
        return Audited(
            exit_code=done.returncode,
            stdout=stdout,
            stderr=stderr,
            report=report,
            outcomes={key: each["outcome"] for key, each in results.items()},
            reasons={key: each["reason"] or "" for key, each in results.items()},
            survivors=survivors,
            changed_files=sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)),
            # Others, such as torch's compiler, leave folders of their own there.
            temporary_files=sorted(path.name for path in temporary.glob("astrobio-audit*")),
        )

    yield run
    for mark in marks:
        for pid in _processes(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


@pytest.fixture
def audit_hostile(tmp_path: Path, audit: Callable[..., Audited]) -> Callable[..., Audited]:
    """Writes a package with hostile models, audits it, and asserts what holds for every target whatever it does."""

    def run(
        hostiles: Mapping[str, Hostile] | None = None,
        *,
        modules: Mapping[str, str] | None = None,
        settings: str = "",
        healthy_passes: bool = True,
    ) -> Audited:
        hostiles, modules = hostiles or {}, modules or {}
        root = _write_package(tmp_path / "project", hostiles, modules, settings)
        audited = audit(root)
        extra = [name.removesuffix(".py").replace("/", ".") for name in modules if name.startswith("zoo/")]
        assert audited.outcomes.keys() == planned_of(root, [*hostiles, "z_healthy"], extra)
        assert not [reason for reason in audited.reasons.values() if "never reported" in reason]
        assert not [reason for reason in audited.reasons.values() if "internal error" in reason]
        assert not audited.report["partial"]
        assert audited.exit_code == (1 if "failed" in _gating(audited) else 3 if _gating(audited) - {"passed"} else 0)
        assert audited.survivors == []
        assert audited.changed_files == []
        assert audited.temporary_files == []
        if healthy_passes:
            assert audited.of("z_healthy") == {
                check: "not_applicable" if check in NOT_CONCERNED else "passed" for check in (*_OF_MODELS, *BESIDE)
            }
            assert audited.outcomes["smoke.reached", "zoo.z_healthy:ZHealthyModel"] == "passed"
            assert audited.outcomes["smoke.import", "zoo.z_healthy"] == "passed"
        return audited

    return run


def _gating(audited: Audited) -> set[str]:
    """Return the outcomes that the exit code depends on: every check of a smoke run gates a release."""
    return set(audited.outcomes.values()) - {"not_applicable"}


def _name(subject: Mapping[str, str]) -> str:
    if subject.get("spec"):
        return subject["spec"]
    if subject.get("qualname"):
        return f"{subject['module']}:{subject['qualname']}"
    return subject["module"]


def _content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _survivors(mark: str) -> list[str]:
    """Return the command lines of processes that a run left; a killed one may need a moment to be gone."""
    deadline = time.monotonic() + 5
    while (pids := _processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [_read(Path(f"/proc/{pid}/cmdline")).replace(b"\0", b" ").decode() for pid in pids]


def _processes(mark: str) -> list[int]:
    """Return the processes that inherited the mark in their environment, wherever they moved to since."""
    wanted = f"{MARK}={mark}".encode()
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and wanted in _read(entry / "environ").split(b"\0")
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # ended in the meantime, or another user's
        return b""


@pytest.fixture
def hostile() -> type[Hostile]:
    """The description of a hostile model: code at the head of its `forward`, and at the head of its module."""
    return Hostile


@pytest.fixture
def write_package() -> Callable[..., Path]:
    """Writes a package with a healthy model, hostile ones and further modules; returns its folder."""
    return _write_package
