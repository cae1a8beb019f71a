"""The GitHub workflow that `init` writes: findings on a pull request, and a readiness report to download."""

import importlib.metadata
import json
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from audit import __version__
from audit.report.document import TOOL_NAME

WORKFLOW = ".github/workflows/astrobio-audit.yml"
_TEXT = """name: astrobio-audit
on:
  push:
  pull_request:
permissions:
  contents: read
jobs:
  audit:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    env:
      # What pip installs the auditor from{hint}
      ASTROBIO_AUDIT: {requirement}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install the project and the auditor
        run: python -m pip install {project}"$ASTROBIO_AUDIT"
      - name: Findings, as annotations on the lines of a pull request
        run: astrobio-audit static --format github
      - name: Readiness report
        if: always()
        run: astrobio-audit readiness --output reports/latest
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: readiness
          path: reports/latest
"""


def workflow_text(root: Path) -> str:
    """Return the workflow for a project, which installs that and what this toolkit was installed from."""
    requirement, is_known = _requirement()
    hint = "." if is_known else "; where no index of yours has it, the address of a repository: git+https://..."
    return _TEXT.format(hint=hint, project=_project(root), requirement=json.dumps(requirement))


def _project(root: Path) -> str:
    """Return what pip is told of a project: itself where it can be installed, else what it lists as required."""
    metadata = any((root / name).is_file() for name in ("setup.py", "setup.cfg"))
    with suppress(FileNotFoundError):
        metadata = metadata or "project" in tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    if metadata:
        return ". "
    return "-r requirements.txt " if (root / "requirements.txt").is_file() else ""


def _requirement() -> tuple[str, bool]:
    """Return what pip takes, and whether another machine is sure to get the same from it."""
    try:
        text = importlib.metadata.distribution(TOOL_NAME).read_text("direct_url.json")
        origin: Any = json.loads(text) if text else {}
    except (importlib.metadata.PackageNotFoundError, ValueError):
        origin = {}
    source = origin.get("vcs_info", {}) if isinstance(origin, dict) else {}
    if source.get("vcs") == "git" and source.get("commit_id"):
        return f"{TOOL_NAME} @ git+{origin['url']}@{source['commit_id']}", True
    return f"{TOOL_NAME}=={__version__}", False
