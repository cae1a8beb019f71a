"""Tests that show a defect which is known and not yet mended are listed in `known_defects.txt`, one id a line.

They run and may fail; a line is taken out with the change that mends it. No test is listed for any other reason.
"""

import os
import tempfile
from pathlib import Path

import pytest

_LISTED = frozenset(Path(__file__).with_name("known_defects.txt").read_text(encoding="utf-8").splitlines())

_CACHE = tempfile.TemporaryDirectory(prefix="astrobio-audit-cache-")
os.environ["ASTROBIO_AUDIT_CACHE"] = _CACHE.name  # no test reads or fills the cache of who runs it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid in _LISTED:
            item.add_marker(pytest.mark.xfail(strict=False, reason="known defect: tests/known_defects.txt"))
