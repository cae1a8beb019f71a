"""What compiles for a GPU is checked before anything is timed: side by side, with short memory, and with a stop."""

import threading
import time
from collections.abc import Callable

import pytest

from audit import stopping
from validation.benchmark.ahead import Found, checked_ahead
from validation.benchmark.asking import Asker, NoTime, Rules
from validation.benchmark.cases import Backend, BackendKind, Case
from validation.benchmark.rows import Clocks, RowOutcome, Verified
from validation.benchmark.timing_rows import rows_of_case

from .making import CASE, GOOD

RULES = Rules(relative_error=0.01, seconds=1, rounds=1, warm_up=1, seed=0, graph=False, timeout_s=60)
CASES = [CASE.model_copy(update={"length": 256 * number}) for number in (1, 2, 3, 4, 5)]
EAGER, FLEX, FLASH = (
    Backend(name=name, kind=BackendKind.BUILT_IN) for name in ("eager", "flex_attention", "flash_attn_4")
)
WANTED = [(case, backend) for case in CASES for backend in (EAGER, FLEX, FLASH)]


class _Asker(Asker):
    """Answers by hand, and notes which process was asked for what, and which were ended."""

    def __init__(self, answer: Callable[[str], Verified]) -> None:
        self.answer, self.number, self.stopped = answer, -1, threading.Event()
        self.asked_for: list[tuple[str, str, int]] = []
        self.closed: list[tuple[str, int]] = []

    def compiles_on_gpu(self, case: Case, backend: Backend) -> bool:
        return backend is not EAGER

    def of_process(self, number: int) -> Asker:
        other = _Asker(self.answer)
        other.number, other.asked_for, other.closed, other.stopped = number, self.asked_for, self.closed, self.stopped
        return other

    def close(self, backend: Backend) -> None:
        self.closed.append((backend.name, self.number))

    def stop(self) -> None:
        self.stopped.set()

    def checked(self, case: Case, backend: Backend) -> Verified:
        self.asked_for.append((case.id, backend.name, self.number))
        return self.answer(backend.name)

    def timed(self, case: Case, backend: Backend, number: int) -> object:  # type: ignore[override]
        raise NoTime(RowOutcome.CRASHED, f"{backend.name} is not timed here")


def _ahead(asker: Asker, side_by_side: int = 8) -> dict[tuple[str, str], Found]:
    return dict(checked_ahead(WANTED, asker, side_by_side=side_by_side, notify=lambda text: None))


def test_each_is_asked_once_in_one_of_four_processes_of_its_backend_at_the_same_time() -> None:
    meeting = threading.Barrier(8, timeout=30)  # passes only where as many ask at once
    met: set[int] = set()

    def answer(name: str) -> Verified:
        if threading.get_ident() not in met:
            met.add(threading.get_ident())
            meeting.wait()
        return GOOD

    asker = _Asker(answer)
    found = _ahead(asker)
    assert set(found) == {(case.id, backend.name) for case in CASES for backend in (FLEX, FLASH)}
    assert sorted(found) == sorted((case, name) for case, name, _ in asker.asked_for)
    assert {number for _, _, number in asker.asked_for} == {0, 1, 2, 3}
    assert sorted(asker.closed) == [(backend.name, number) for backend in (FLASH, FLEX) for number in range(4)]


@pytest.mark.parametrize(
    "outcome", [RowOutcome.OUT_OF_MEMORY, RowOutcome.TIMED_OUT, RowOutcome.RAISED, RowOutcome.CRASHED]
)
def test_what_others_may_have_caused_is_asked_again_alone(outcome: RowOutcome) -> None:
    def answer(name: str) -> Verified:
        if name == "flex_attention" and threading.current_thread() is not threading.main_thread():
            raise NoTime(outcome, "others have it")
        return GOOD

    asker = _Asker(answer)
    found = _ahead(asker)
    assert {name for _, name in found} == {"flash_attn_4"}
    asker.asked_for.clear()
    known = {name: each for (case, name), each in found.items() if case == CASE.id}
    rows = rows_of_case(
        CASE, [EAGER, FLEX, FLASH], asker, RULES, lambda: Clocks(unknown="none"), lambda text: None, known
    )
    assert [row.reason for row in rows] == [f"{each.name} is not timed here" for each in (EAGER, FLEX, FLASH)]
    assert [name for _, name, _ in asker.asked_for] == ["eager", "flex_attention"]


def test_what_is_wrong_ahead_is_a_row_and_gets_no_time() -> None:
    def answer(name: str) -> Verified:
        raise NoTime(RowOutcome.UNSUPPORTED, f"{name} has no heads of 7 features")

    asker = _Asker(answer)
    known = {name: each for (case, name), each in _ahead(asker).items() if case == CASE.id}
    asker.asked_for.clear()
    (row,) = rows_of_case(CASE, [FLEX], asker, RULES, lambda: Clocks(unknown="none"), lambda text: None, known)
    assert (row.outcome, row.reason) == (RowOutcome.UNSUPPORTED, "flex_attention has no heads of 7 features")
    assert not asker.asked_for


def test_a_stop_ends_what_is_being_asked_and_begins_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = threading.Event()
    monkeypatch.setattr(stopping, "_wanted", wanted)
    held: _Asker

    def answer(name: str) -> Verified:
        wanted.set()
        assert held.stopped.wait(30)
        raise NoTime(RowOutcome.CRASHED, "stopped by the user")

    held = _Asker(answer)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        _ahead(held, side_by_side=2)
    assert time.monotonic() - begun < 30
    assert held.stopped.is_set()
    assert len({number for _, _, number in held.asked_for}) < 4


def test_on_a_cpu_nothing_is_asked_ahead() -> None:
    asker = _Asker(lambda name: GOOD)
    asker.compiles_on_gpu = lambda case, backend: False  # type: ignore[method-assign]
    assert not _ahead(asker)
    assert not asker.asked_for
