"""What is loaded ahead tells why it cannot be, but for a process that ends meanwhile."""

import sys
import threading
from types import SimpleNamespace
from typing import cast

import pytest

from audit.collected import Collected
from validation.smoke import plan


@pytest.mark.parametrize("ends", [False, True])
def test_what_cannot_be_loaded_ahead_is_told_unless_the_process_ends(
    ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Thread(target=lambda: None)
    over.start()
    over.join()
    told: list[threading.ExceptHookArgs] = []
    monkeypatch.setitem(sys.modules, "validation.smoke.registry", None)
    monkeypatch.setattr(threading, "excepthook", told.append)
    if ends:
        monkeypatch.setattr(threading, "main_thread", lambda: over)
    monkeypatch.setattr(plan, "prepare_forks", lambda target, ahead: None)
    plan.load_ahead(cast(Collected, SimpleNamespace(target=None)))
    for thread in threading.enumerate():
        if thread.name == "smoke-load":
            thread.join()
    assert [each.exc_type for each in told] == ([] if ends else [ModuleNotFoundError])
