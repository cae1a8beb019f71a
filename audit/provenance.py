"""What a report is about and where it was made: commit, versions, machine, times."""

import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence, Set
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

_GIT_TIMEOUT_S = 30
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
# The repository is not trusted: nothing in it may start a program, for that would run here, outside every limit.
# - fsmonitor and hooks are settings of their own.
# - An object that is missing makes git fetch it, with whatever program the remote's settings name; without a protocol
#   that is allowed it does not (GIT_NO_LAZY_FETCH says so directly, but git before 2.45 does not know it).
# - Filters have names that the repository chooses: `_differs`.
_GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_FILTER_OFF = ("clean=", "process=", "required=false")
_SUBMODULE = "160000"  # mode of its entry in the index
_OWN_PACKAGES = ("audit", "validation")
_NO_FETCH = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}


def is_time(text: str) -> bool:
    """Return whether a text is a time as `now` writes it: the earlier of two is found by comparing texts."""
    if _TIME.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def now() -> str:
    """Return the time in UTC to the second, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def git_state(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the repository around `root`, and whether files under `root` differ from it.

    Both are None where there is no repository, no commit or no git. The second alone is None where only a program
    that the repository names would tell, or where files are marked as not to be looked at.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None:
        return None, None
    return commit.strip(), _differs(root)


def commit_day(root: Path) -> date | None:
    """Return the day of the commit, in UTC; None where there is none, or git gives no date that a calendar has."""
    seconds = _git(root, "log", "-1", "--no-show-signature", "--format=%ct")
    try:
        return datetime.fromtimestamp(int(seconds), UTC).date() if seconds else None
    except (ValueError, OverflowError, OSError):
        return None


def today() -> date:
    """Return the day of the clock, in UTC."""
    return datetime.now(UTC).date()


def prefix_in_repository(root: Path) -> str:
    """Return the path of `root` inside the git repository around it; empty for its top and where there is none."""
    top = next((folder for folder in (root, *root.parents) if os.path.lexists(folder / ".git")), root)
    prefix = root.relative_to(top).as_posix()
    return "" if prefix == "." else prefix


def _differs(root: Path) -> bool | None:
    drivers = _filter_drivers(root)
    if drivers is None or any("=" in driver for driver in drivers):  # `-c` would end the name there
        return None
    off = [
        word for driver in sorted(drivers) for setting in _FILTER_OFF for word in ("-c", f"filter.{driver}.{setting}")
    ]
    # Submodules have a configuration of their own: here git looks at no more than their commit.
    how = ("--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=dirty")
    listed = _git(root, *off, "status", *how, "--", ".")
    if listed is None:
        return None
    changes = listed.split("\0")[:-1]
    edited = [change[3:] for change in changes if change.startswith(" M ")]
    if len(edited) < len(changes):
        return True
    if edited:
        return None if _filtered(root, edited, drivers) else True
    return _passed_over(root)


def _filter_drivers(root: Path) -> set[str] | None:
    """Return the names of all filters that any configuration defines, the user's own included.

    The user's are trusted, and yet `git lfs` obeys settings of the repository that start programs.
    """
    names = _git(root, "config", "--list", "--name-only", "-z")
    if names is None:
        return None
    return {name.split(".", 1)[1].rpartition(".")[0] for name in names.split("\0") if name.startswith("filter.")}


def _filtered(root: Path, paths: Sequence[str], drivers: Set[str]) -> bool:
    """Whether each path, relative to the work tree, goes through a filter: without it the file differs unedited."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None:
        return False
    found = _git(Path(top.removesuffix("\n")), "check-attr", "-z", "--stdin", "filter", given="\0".join(paths) + "\0")
    return found is not None and set(found.split("\0")[2::3]) <= drivers


def _passed_over(root: Path) -> bool | None:
    """Whether something differs that `git status` passed over: marked files, and those of submodules."""
    listed = _git(root, "ls-files", "-z", "-v", "--stage", "--", ".")
    if listed is None:
        return None
    states: set[bool | None] = {False}
    for entry in listed.split("\0")[:-1]:
        facts, _, path = entry.partition("\t")
        mark, mode, *_ = facts.split()
        if mark.islower() or mark == "S":  # assume-unchanged, skip-worktree
            states.add(None)
        elif mode == _SUBMODULE and os.path.lexists(root / path / ".git"):
            states.add(_submodule_differs(root, root / path))
    return True if True in states else None if None in states else False


def _submodule_differs(root: Path, submodule: Path) -> bool | None:
    # Always further down, so that links cannot lead in a circle.
    return _differs(submodule) if root.resolve() in submodule.resolve().parents else None


def _git(root: Path, *arguments: str, given: str = "") -> str | None:
    # Names of files go back to git as they came.
    said = git_output(root, *arguments, given=given.encode("utf-8", "surrogateescape"))
    return None if said is None else said.decode("utf-8", "surrogateescape")


def git_output(root: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """Return what git says in `root`, started so that the repository cannot start a program; None where it fails."""
    command = [*_GIT, "-C", str(root), *arguments]
    # Inside a hook git sets GIT_DIR and its like, which would lend the target another repository's commit.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, timeout=_GIT_TIMEOUT_S, check=False, env=clean | _NO_FETCH
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):  # ValueError: a NUL in an argument
        return None
    return done.stdout if done.returncode == 0 else None


@cache
def tool_digest() -> str:
    """Return the SHA-256 over the toolkit's own Python files, `sha256:` and 64 digits."""
    total = hashlib.sha256()
    home = Path(__file__).parents[1]
    for path in sorted(path for name in _OWN_PACKAGES for path in (home / name).rglob("*.py")):
        total.update(f"{path.relative_to(home)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{total.hexdigest()}"


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
