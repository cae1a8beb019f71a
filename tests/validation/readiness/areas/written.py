"""Writes small projects, one edit apart, and carries the checks beside code out on them."""

from collections.abc import Mapping
from pathlib import Path

from audit.profiles import Profile
from audit.report.document import Report
from audit.results import Outcome, Result
from audit.session import Request, conduct
from audit.target import Target
from validation.readiness.areas import plan_areas

SETTINGS = '[tool.astrobio-audit]\npackage = "zoo"\n'
Files = Mapping[str, str | bytes]


def write(root: Path, files: Files) -> Path:
    """Write a project with a package `zoo`."""
    for name, content in {"zoo/__init__.py": '"""Models."""\n', "pyproject.toml": SETTINGS, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def report_of(
    root: Path, *only: str, runs: bool = False, builds: bool = False, profile: Profile | None = None
) -> Report:
    """Carry the checks out that are named, or all, on a project that is there."""
    request = Request(
        command="readiness",
        planners=[
            lambda collected: plan_areas(collected, runs_documents=runs, builds_container=builds, profile=profile)
        ],
        release=True,
        profile=profile,
        only=only,
    )
    return conduct(Target.load(root), request)


def results(root: Path, check: str, files: Files | None = None, **flags: bool) -> list[Result]:
    """Write a project, and return the results of one check on it."""
    if files is not None:
        write(root, files)
    return [each for each in report_of(root, check, **flags).results if each.check == check]


def outcome(root: Path, check: str, files: Files | None = None, **flags: bool) -> tuple[Outcome, str]:
    """The same of a check with one result: its outcome, and why."""
    (result,) = results(root, check, files, **flags)
    return result.outcome, result.reason or ""
