"""What holds for every test: nobody's cache is read or filled, and what a test starts can be interrupted."""

import os
import signal
import tempfile

import pytest

from tests.few_cases import left_out

_CACHE = tempfile.TemporaryDirectory(prefix="astrobio-audit-cache-")
os.environ["ASTROBIO_AUDIT_CACHE"] = _CACHE.name

# Tests that run side by side have a core each: threads of several that wait for one another by spinning made the data
# of 80 planets 6 times as dear in processor time.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# A shell starts what it runs in the background with Ctrl-C ignored, which every process below takes over: one that a
# test interrupts would go on to its end, and on a busy machine for longer than the test waits.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before any is deselected by its marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test` leaves to `make test-slow`; an item that is marked already counts for nothing here."""
    quick = {item.nodeid: item for item in items if item.get_closest_marker("slow") is None}
    for node_id in left_out(quick):
        quick[node_id].add_marker(pytest.mark.slow)
