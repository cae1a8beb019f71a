"""A folder with a package `zoo`, its configuration, and how a target is refused."""

from pathlib import Path

import pytest

from audit.errors import UsageError
from audit.target import Target

HEADER = "[tool.astrobio-audit]\n"


def configured(project: Path, table: str) -> Path:
    (project / "pyproject.toml").write_text(HEADER + table)
    return project


def refusal(folder: Path, **flags: object) -> str:
    """Load the target, which must be refused, and return the one line that says why."""
    with pytest.raises(UsageError) as refused:
        Target.load(folder, **flags)  # type: ignore[arg-type]
    return " ".join(str(refused.value).split())
