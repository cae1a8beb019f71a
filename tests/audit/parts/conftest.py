"""A small target in a repository of its own, and plans of any shape."""

import importlib
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from audit import __version__
from audit.parts.document import Instance, PlanDocument, PlannedFrom, digest_of, needs_of
from audit.report.document import Tool
from audit.results import Check, Severity
from audit.target import Target

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
GIT = ("git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
MakePlan = Callable[..., PlanDocument]


@pytest.fixture(scope="session")
def make_plan() -> MakePlan:
    """Makes a plan with a group for each pair of a number of checks and of GPUs; keywords replace its origin."""

    def make(groups: Sequence[tuple[int, int]] = ((2, 0), (1, 0)), **changes: object) -> PlanDocument:
        names = {f"area.check_{index}" for count, _ in groups for index in range(count)}
        checks = [
            Check(id=name, title=name, proves="p", defect="d", severity=Severity.CRITICAL) for name in sorted(names)
        ]
        instances = [
            {
                "check": f"area.check_{index}",
                "subject": {"kind": "model", "spec": f"model_{number}"},
                "needs": needs_of(gpus),
                "group": f"model:model_{number}",
            }
            for number, (count, gpus) in enumerate(groups)
            for index in range(count)
        ]
        origin = {
            "command": "readiness",
            "release": True,
            "package": "zoo",
            "package_digest": "sha256:" + 64 * "0",
            "config_digest": "sha256:" + 64 * "1",
            "prefix": "",
            "commit": "0" * 40,
            "dirty": False,
            "seed": 0,
            "device": "cpu",
            "tool_digest": "sha256:" + 64 * "2",
        }
        given: dict[str, Any] = {
            "schema_version": "1.0",
            "tool": Tool(name="astrobio-audit", version=__version__),
            "planned_from": PlannedFrom.model_validate(origin | changes),
            "checks": tuple(checks),
            "instances": tuple(Instance.model_validate(each) for each in instances),
        }
        content = PlanDocument.model_construct(**given).model_dump(mode="json", exclude={"digest"})
        return PlanDocument.model_validate({**content, "digest": digest_of(content)})

    return make


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the cheap checks, which processes that the test starts can import as well."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(HERE)]))
    return importlib.import_module("cheap_worker")


@pytest.fixture
def committed(make_target: Callable[..., Target]) -> Callable[..., Target]:
    """Makes a target whose files are committed."""

    def make(table: str = "") -> Target:
        target = make_target(table)
        for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "first")):
            subprocess.run([*GIT, "-C", str(target.root), *arguments], check=True)
        return target

    return make
