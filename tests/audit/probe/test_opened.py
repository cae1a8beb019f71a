"""Which of the modules in a process are told as read: those of the target, whatever was loaded before them."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from audit.probe import opened


@pytest.fixture
def colorsys(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the standard library that is there before the target's; nothing was told so far."""
    for name in ("_read", "_told", "_loaded"):
        monkeypatch.setattr(opened, name, set())
    monkeypatch.setattr(opened, "_installed", {})
    monkeypatch.setattr(opened, "_left_out", ())
    import colorsys

    opened.look_ahead()
    return colorsys


def test_a_module_of_the_standard_library_is_not_told(colorsys: ModuleType) -> None:
    assert opened._installed["colorsys"] is colorsys
    assert colorsys.__file__ not in opened.untold()


def test_a_module_of_the_target_in_the_place_of_another_is_told_once(
    colorsys: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    of_target = ModuleType("colorsys")
    of_target.__file__ = str(tmp_path / "colorsys.py")
    monkeypatch.setitem(sys.modules, "colorsys", of_target)
    assert of_target.__file__ in opened.untold()
    assert opened.untold() == []
