"""The cache on the command line: the same report with and without it, and from a folder that cannot hold it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).parents[2]


def report(target: Path, cache: Path, *options: str) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "audit.cli",
        "static",
        "--json",
        "--quiet",
        "-t",
        str(target),
        "-p",
        "pkg",
        *options,
    ]
    environment = os.environ | {"ASTROBIO_AUDIT_CACHE": str(cache), "PYTHONPATH": str(HOUSE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    del document["provenance"]
    for result in document["results"]:
        del result["evidence"]["duration_s"]
    return document


@pytest.fixture
def target(tmp_path: Path) -> Path:
    package = tmp_path / "target" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from torch import nn\nclass A(nn.Module): ...\n")
    (package / "b.py").write_text("from pkg import A\nfrom elsewhere import E\nclass B(A): ...\nclass C(E): ...\n")
    (package / "broken.py").write_text("class (:\n")
    return package.parent


def test_the_report_is_the_same_with_the_cache_filled_or_unused(target: Path, tmp_path: Path) -> None:
    without = report(target, tmp_path / "unused", "--no-cache")
    assert not (tmp_path / "unused").exists()
    assert report(target, tmp_path / "cache") == without
    assert list((tmp_path / "cache").glob("*.sqlite"))
    assert report(target, tmp_path / "cache") == without


def test_a_cache_that_cannot_be_written_changes_nothing(target: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert report(target, tmp_path / "file") == report(target, tmp_path / "unused", "--no-cache")
