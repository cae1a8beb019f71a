"""What is measured of a model of the zoo does not depend on how the processes that it runs in are started."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TIMES = re.compile(r'"(duration_s|started_at|finished_at)": [^\n]*')
TABLE = '[tool.astrobio-audit]\npackage = "astrobio"\nspecs = "astrobio.specs"\n'


@pytest.mark.slow
def test_the_report_of_a_model_is_the_same_with_forks_and_without(tmp_path: Path, again: Callable[..., Any]) -> None:
    root = tmp_path / "project"
    shutil.copytree(ROOT / "astrobio", root / "astrobio", ignore=shutil.ignore_patterns("__pycache__"))
    reports = []
    for forks in ("true", "false"):
        (root / "pyproject.toml").write_text(f"{TABLE}forks = {forks}\n")
        run = again(root, "--subject", "climate_surrogate_small", "--no-cache")
        reports.append(TIMES.sub("", run.json))
    assert re.search(r'"measured": [0-9]', reports[0])
    assert reports[0] == reports[1]
