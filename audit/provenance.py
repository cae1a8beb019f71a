"""What a report is about and where it was made: commit, versions, machine, times."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

_GIT_TIMEOUT_S = 30
# The repository is not trusted: its own configuration must not start programs.
_GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


def now() -> str:
    """Return the time in UTC to the second, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def git_state(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the repository around `root`, and whether files under `root` differ from it.

    Both are None where there is no repository, no commit or no git.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None:
        return None, None
    changes = _git(root, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    return commit.strip(), bool(changes) if changes is not None else None


def _git(root: Path, *arguments: str) -> str | None:
    command = [*_GIT, "-C", str(root), *arguments]
    # Inside a hook git sets GIT_DIR and its like, which would lend the target another repository's commit.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_GIT_TIMEOUT_S, check=False, env=clean
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def interpreter() -> str:
    """Return the auditor's Python version."""
    return platform.python_version()


def loaded_torch() -> str | None:
    """Return the auditor's torch version where torch was needed, without importing it."""
    torch = sys.modules.get("torch")
    return str(torch.__version__) if torch else None


def machine() -> tuple[str, str]:
    """Return the operating system with its release, and the processor's architecture."""
    return f"{platform.system()} {platform.release()}", platform.machine()
