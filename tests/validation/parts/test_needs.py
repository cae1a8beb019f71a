"""What the checks of a model need that asks for a GPU, and which commands can be planned."""

from pathlib import Path

import pytest

from audit.catalog import Catalog, SpecEntry
from audit.collected import Collected
from audit.parts.making import document_of
from audit.target import Target
from validation.parts.cli import Planned
from validation.parts.commands import COMMANDS
from validation.smoke.plan import plan_smoke


@pytest.mark.parametrize(("device", "gpus"), [(None, 0), ("cpu", 0), ("cuda", 1)])
def test_the_checks_of_a_model_for_a_gpu_need_one(device: str | None, gpus: int, tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    for name in ("__init__.py", "specs.py"):
        (tmp_path / "zoo" / name).write_text("")
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    collected = Collected(Target.load(tmp_path))
    collected.catalog = Catalog(models={"m": SpecEntry(problem=None, device=device)})
    plan = document_of(collected, plan_smoke(collected), (None, None), command="smoke", release=False)
    assert plan.gpus("model:m") == gpus
    assert all(plan.gpus(name) == 0 for name in plan.groups if name != "model:m")


def test_every_command_that_can_be_planned_is_offered() -> None:
    assert set(COMMANDS) == {each.value for each in Planned}
    assert [name for name, command in COMMANDS.items() if command.release] == ["readiness"]
