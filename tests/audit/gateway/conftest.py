"""Probes into small packages, whose modules do what a test wants as they are imported."""

import gc
import itertools
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from audit.gateway import Limits, Probe, ProbeFailure, TargetRaised


class Child:
    """A probe into a package `pkg`, and ways to run code in it."""

    def __init__(self, folder: Path, python: Path, limits: Limits) -> None:
        self.package = folder / "pkg"
        self.package.mkdir(exist_ok=True)
        (self.package / "__init__.py").write_text("")
        self.probe = Probe(python=python, source=folder, root=folder, package="pkg", limits=limits)
        self._count = itertools.count()

    def run(self, code: str, **limits: float) -> None:
        """Run `code` in the child, as a module that is imported there."""
        name = f"module{next(self._count)}_{id(self)}"
        (self.package / f"{name}.py").write_text(dedent(code) + "\n")
        reply = self.probe.call("import_module", name=f"pkg.{name}", **limits)
        assert reply["path"] == str(self.package / f"{name}.py")

    def tell(self, expression: str) -> str:
        """Return the text of an expression's value in the child."""
        with pytest.raises(TargetRaised) as caught:
            self.run(f"import os, sys, threading\nraise ValueError({expression})")
        return caught.value.message

    def fail(self, code: str, *, within_s: float = 60, **limits: float) -> ProbeFailure:
        """Run code that gets no answer and return the failure; a call that never ends fails the test."""
        caught: list[BaseException] = []

        def run() -> None:
            try:
                self.run(code, **limits)
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(within_s)
        if thread.is_alive():
            self.probe.kill()
            pytest.fail(f"the call did not end within {within_s:.0f} s")
        assert caught, "the call was answered"
        assert isinstance(caught[0], ProbeFailure), caught[0]
        return caught[0]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the parent makes its temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def make_child(tmp_path: Path, temporary: Path) -> Iterator[Callable[..., Child]]:
    """Makes children, ends them after the test, and asserts that nothing of them is left."""
    made: list[Child] = []

    def make(python: Path = Path(sys.executable), **limits: Any) -> Child:
        made.append(Child(tmp_path, python, Limits(**({"timeout_s": 30.0, "memory_mb": 2048} | limits))))
        return made[-1]

    yield make
    for child in made:
        child.probe.close()
    gc.collect()  # a pipe or a process that was not closed is a warning of this test, not of a later one
    assert list(temporary.iterdir()) == []


@pytest.fixture
def child(make_child: Callable[..., Child]) -> Child:
    return make_child()


@pytest.fixture
def is_gone() -> Callable[[int], bool]:
    """Tells whether a process has ended; one that was just killed may need a moment."""

    def gone(pid: int, within_s: float = 5) -> bool:
        deadline = time.monotonic() + within_s
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        return not _runs(pid)

    return gone


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def wait_for(path: Path, within_s: float = 60) -> None:
    """Wait until the child has written a file."""
    deadline = time.monotonic() + within_s
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} was never written"
        time.sleep(0.02)


@pytest.fixture
def wait_until_written() -> Callable[[Path], None]:
    return wait_for
