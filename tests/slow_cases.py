"""Which cases of a test are left to `make test-slow`; a few show each thing in `make test`."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow(*cases: Any) -> list[Any]:
    """Return the cases, all of them slow."""
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]


def slow_unless(quick: Collection[Any], cases: Iterable[Any]) -> list[Any]:
    """Return the cases in their order, slow where they are not among the quick ones."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in cases]
