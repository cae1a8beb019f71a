"""A forecast in a process of its own is the same one, and none is lost with the process."""

import os
import time
from pathlib import Path
from typing import NoReturn

import pytest

from audit import stopping
from audit.collected import Collected
from audit.static import per_file
from audit.static.analysis import StaticAnalysis, analyse
from audit.static.imports import ahead
from audit.static.imports import forecast as forecasting
from audit.static.imports.ahead import ForecastAhead
from audit.static.store import FOLDER_VARIABLE, FactStore
from audit.target import Target

_FILES = {
    "__init__.py": "",
    "good.py": "import json\nfrom collections import abc\n",
    "bad.py": "import package_that_nobody_has\n",
    "after.py": "from pack import bad\n",
    "broken.py": "def f(:\n",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose folders have been as they are for so long that the next change of one would show."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pack").mkdir()
    for name, text in _FILES.items():
        (folder / "pack" / name).write_text(text)
    time.sleep(per_file.SETTLED_AFTER_NS / 1e9 + 0.2)
    return folder


@pytest.fixture(autouse=True)
def _every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MIN_FILES", 1)


def _target(root: Path, *, workers: int = 2) -> Target:
    return Target.load(root, package="pack", workers=workers)


def _begun(target: Target, store: FactStore | None) -> tuple[StaticAnalysis, ForecastAhead]:
    begun: list[ForecastAhead] = []
    analysis = analyse(
        target.source,
        target.package_path,
        project=target.root,
        store=store,
        when_read=lambda read: begun.append(ForecastAhead.of(read, target)),
    )
    assert len(begun) == 1
    return analysis, begun[0]


def _refuse(*given: object, **named: object) -> NoReturn:
    raise AssertionError("the forecast was made in this process")


def test_the_process_leaves_the_forecast_in_the_store(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _target(root)
    expected = forecasting.forecast(analyse(target.source, target.package_path, project=root), target)
    with FactStore(tmp_path / "cache") as store:
        analysis, process = _begun(target, store)
        process.wait()
        monkeypatch.setattr(forecasting, "_forecast", _refuse)
        found = forecasting.forecast(analysis, target)
    assert found == expected
    assert {row.module for row in found or () if row.forecast == "fails"} == {"pack.bad", "pack.after", "pack.broken"}


def test_a_process_that_dies_costs_no_forecast(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_CODE", "import os; os.abort()")
    target = _target(root)
    with FactStore(tmp_path / "cache") as store:
        analysis, process = _begun(target, store)
        process.wait()
        found = forecasting.forecast(analysis, target)
    assert found == forecasting.forecast(analyse(target.source, target.package_path, project=root), target)


def test_it_ends_when_it_is_closed(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_CODE", "import time; time.sleep(60)")
    with FactStore(tmp_path / "cache") as store:
        _, process = _begun(_target(root), store)
        child = process._process
        assert child
        process.close()
    assert child.returncode == -9


def test_waiting_for_it_ends_when_a_stop_is_wanted(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_CODE", "import time; time.sleep(60)")
    with FactStore(tmp_path / "cache") as store:
        _, process = _begun(_target(root), store)
        monkeypatch.setattr(stopping._wanted, "is_set", lambda: True)
        with pytest.raises(KeyboardInterrupt):
            process.wait()
        process.close()


def test_it_ends_with_the_process_that_has_started_it() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        with os.fdopen(reading, "rb") as caller:
            ahead._end_with(caller)
    os.close(reading)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@pytest.mark.parametrize("case", ["one worker", "no store", "few files"])
def test_none_is_started_where_it_would_not_pay(
    case: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead.subprocess, "Popen", _refuse)
    if case == "few files":
        monkeypatch.setattr(ahead, "MIN_FILES", 1000)
    with FactStore(tmp_path / "cache") as store:
        _, process = _begun(
            _target(root, workers=1 if case == "one worker" else 2), None if case == "no store" else store
        )
        process.wait()


def test_a_run_that_is_sure_to_ask_begins_it(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(ahead, "_CODE", "import time; time.sleep(60)")
    for sure in (True, False):
        collected = Collected(_target(root), cache=True, forecasts=sure)
        assert collected.analysis.files
        assert (collected._ahead._process is not None) is sure
        assert collected.analysis.workers == (1 if sure else 2)
        child = collected._ahead._process
        collected.close()
        assert child is None or child.returncode is not None
        for stored in (tmp_path / "cache").iterdir():
            stored.unlink()
