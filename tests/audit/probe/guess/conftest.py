import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.probe.callee import Callee, callee_of
from audit.probe.guess.find import find

FIXTURES = Path(__file__).parents[3] / "fixtures" / "attention" / "guessed"

Reply = dict[str, Any]


class Found:
    """What was found of a class or function of the fixtures, and a way to build it again."""

    def __init__(self, path: Path, qualname: str) -> None:
        self.path, self.qualname = path, qualname
        self.reply: Reply = find(str(path), None, qualname, 0)

    @property
    def names(self) -> list[str]:
        return [subject["name"] for subject in self.reply["subjects"]]

    def subject(self, name: str = "") -> Reply:
        assert self.reply["problem"] is None, self.reply["problem"]
        return next(subject for subject in self.reply["subjects"] if subject["name"] == name)

    def form(self, name: str = "") -> Reply:
        form = self.subject(name)["choices"]["form"]
        assert isinstance(form, dict)
        return form

    def callee(self, name: str = "", *, seed: int = 0) -> Callee:
        choices = self.subject(name)["choices"]
        source = {
            "kind": "guess",
            "path": str(self.path),
            "module": None,
            "qualname": self.qualname,
            "choices": choices,
        }
        return callee_of(source, seed, "float32")


Find = Callable[[str, str], Found]


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a file that is loaded alone stays on the path, of the target's process and not of the next test."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def found() -> Find:
    return lambda file, qualname: Found(FIXTURES / f"{file}.py", qualname)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, str], Found]:
    """Finds a class in a source that the test writes."""

    def find_in(text: str, qualname: str) -> Found:
        path = tmp_path / f"written_{abs(hash(text))}.py"
        path.write_text(text)
        return Found(path, qualname)

    return find_in
