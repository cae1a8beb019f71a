"""Checks of backends that compile for a GPU, side by side: rows, memory that is short, and a stop."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from audit import stopping
from validation.benchmark.asking import Asker, NoTime, Rules
from validation.benchmark.cases import Backend, BackendKind, Case
from validation.benchmark.rows import Clocks, Row, RowOutcome, Verified
from validation.benchmark.timing_rows import rows_of_case

from .making import CASE, GOOD

RULES = Rules(relative_error=0.01, seconds=1, rounds=1, warm_up=1, seed=0, graph=False, timeout_s=60)
BACKENDS = [Backend(name=name, kind=BackendKind.BUILT_IN) for name in ("eager", "flex_attention", "flash_attn_4")]


class _Asker(Asker):
    """Answers by hand; on a GPU that holds one check at a time where memory is short."""

    def __init__(self, *, answer: Callable[[str], Verified]) -> None:
        self.answer, self.stopped, self.times = answer, threading.Event(), dict.fromkeys([b.name for b in BACKENDS], 0)

    def compiles_on_gpu(self, case: Case, backend: Backend) -> bool:
        return backend.name != "eager"

    def stop(self) -> None:
        self.stopped.set()

    def checked(self, case: Case, backend: Backend) -> Verified:
        self.times[backend.name] += 1
        return self.answer(backend.name)

    def timed(self, case: Case, backend: Backend, number: int) -> object:  # type: ignore[override]
        raise NoTime(RowOutcome.CRASHED, f"{backend.name} is not timed here")


def _rows(asker: _Asker) -> Iterator[Row]:
    return rows_of_case(CASE, BACKENDS, asker, RULES, lambda: Clocks(unknown="no clocks"), lambda text: None)


def test_they_wait_for_one_another_and_rows_keep_their_order() -> None:
    meeting = threading.Barrier(2, timeout=30)  # passes only where two are asked at once

    def answer(name: str) -> Verified:
        if name != "eager":
            meeting.wait()
        return GOOD

    asker = _Asker(answer=answer)
    assert [row.reason for row in _rows(asker)] == [f"{each.name} is not timed here" for each in BACKENDS]
    assert set(asker.times.values()) == {1}


def test_what_runs_out_of_memory_beside_others_is_asked_again_alone() -> None:
    alone: list[str] = []

    def answer(name: str) -> Verified:
        if threading.current_thread() is not threading.main_thread():
            raise NoTime(RowOutcome.OUT_OF_MEMORY, "others have it")
        alone.append(name)
        return GOOD

    asker = _Asker(answer=answer)
    assert all("not timed here" in str(row.reason) for row in _rows(asker))
    assert alone == [each.name for each in BACKENDS]


def test_what_has_no_room_alone_either_is_a_row_that_says_so() -> None:
    def answer(name: str) -> Verified:
        raise NoTime(RowOutcome.OUT_OF_MEMORY, "20 GiB are wanted")

    asker = _Asker(answer=answer)
    assert {row.outcome for row in _rows(asker)} == {RowOutcome.OUT_OF_MEMORY}
    assert asker.times == {"eager": 1, "flex_attention": 2, "flash_attn_4": 2}


def test_a_stop_ends_what_is_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = threading.Event()
    monkeypatch.setattr(stopping, "_wanted", wanted)
    held: _Asker

    def answer(name: str) -> Verified:
        wanted.set()
        assert held.stopped.wait(30)
        raise NoTime(RowOutcome.CRASHED, "stopped by the user")

    held = _Asker(answer=answer)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(_rows(held))
    assert held.stopped.is_set()
    assert time.monotonic() - begun < 30
