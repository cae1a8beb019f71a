"""Packages written for one test, and what importing each of their modules really does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from audit.static.analysis import analyse
from audit.static.imports.causes import ImportRow
from audit.static.imports.forecast import forecast
from audit.target import Target

# Each module in a process forked from one that has imported nothing: a new process, without the cost of a start.
_REALLY = """
import importlib, json, os, sys
sys.path.insert(0, sys.argv[1])
ends = {}
for module in sys.argv[2:]:
    reading, writing = os.pipe()
    if os.fork() == 0:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        try:
            importlib.import_module(module)
            end = ""
        except BaseException as error:
            end = type(error).__name__
        os.write(writing, end.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        ends[module] = pipe.read()
    os.wait()
print(json.dumps(ends))
"""

Files = Mapping[str, str]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Files], Path]:
    """Write a package `pack` of these files; its folder is one without git."""

    def write_files(files: Files) -> Path:
        for name, text in {"pack/__init__.py": "", **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write_files


@pytest.fixture
def rows_of() -> Callable[..., dict[str, ImportRow]]:
    """Forecast a package; the rows by module."""

    def rows(root: Path, package: str = "pack", **given: Any) -> dict[str, ImportRow]:
        every_as_file = given.pop("every_as_file", False)
        target = Target.load(root, package=package, **given)
        found = forecast(analyse(target.source, target.package_path), target, every_as_file=every_as_file)
        assert found is not None
        return {row.module: row for row in found}

    return rows


@pytest.fixture
def really_failing() -> Callable[[Path, list[str]], dict[str, str]]:
    """Import modules, each in a new process; the exceptions of those that fail."""

    def failing(root: Path, modules: list[str]) -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-B", "-c", _REALLY, str(root), *modules],
            capture_output=True, text=True, timeout=240, check=True, cwd="/",
        )  # fmt: skip
        return {module: end for module, end in json.loads(done.stdout).items() if end}

    return failing


@pytest.fixture
def really_failing_as_files(pytestconfig: pytest.Config) -> Callable[..., dict[str, str]]:
    """Run files of a folder as such, each in a new process; the exceptions of those that fail."""
    tool = pytestconfig.rootpath / "tests/tools/import_truth.py"

    def failing(root: Path, paths: list[str], *, on_path: bool) -> dict[str, str]:
        environment = os.environ | ({"PYTHONPATH": str(root)} if on_path else {})
        done = subprocess.run(
            [sys.executable, "-B", str(tool), "file", str(root)],
            input="\n".join(paths), env=environment, capture_output=True, text=True, timeout=240, check=True, cwd="/",
        )  # fmt: skip
        return {path: end for path, end in json.loads(done.stdout).items() if end}

    return failing
