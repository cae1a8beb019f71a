"""What a class overrides of its bases is no part of its source, unless it calls it."""

from pathlib import Path

import pytest

from audit.probe.guess.loading import load
from audit.probe.guess.reading import read

SOURCE = """
import functools


def softmaxed(x):
    return x.softmax(-1)


class Base:
    def forward(self, x):
        return softmaxed(x)

    @functools.cache
    def kept(self):
        return "kept by the base"


class Derived(Base):
    def forward(self, x):
        return {called}


class Further(Derived):
    def kept(self):
        return 3
"""


def source_of(tmp_path: Path, called: str, name: str) -> str:
    path = tmp_path / "classes.py"
    path.write_text(SOURCE.replace("{called}", called))
    value = load(str(path), None, name).value
    assert isinstance(value, type)
    found = read(value)
    assert len(found.trees) == len(value.__mro__[:-1])
    return found.code


@pytest.mark.parametrize("name", ["Derived", "Further"])
def test_what_is_overridden_and_not_called_is_left_out_with_what_it_calls(tmp_path: Path, name: str) -> None:
    code = source_of(tmp_path, "x + 1", name)
    assert "x + 1" in code
    assert "softmax" not in code
    assert ("kept by the base" in code) is (name == "Derived")


@pytest.mark.parametrize("called", ["super().forward(x)", "super(Derived, self).forward(x)", "Base.forward(self, x)"])
@pytest.mark.parametrize("name", ["Derived", "Further"])
def test_what_is_overridden_and_called_stays(tmp_path: Path, called: str, name: str) -> None:
    assert "x.softmax(-1)" in source_of(tmp_path, called, name)
