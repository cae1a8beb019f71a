"""Runs that go on behind one that was killed or stopped."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from validation.benchmark import run as run_
from validation.benchmark.asking import NoTime
from validation.benchmark.rows import RowOutcome

from ...slow_cases import slow_unless


def test_a_run_that_was_killed_goes_on_where_it_was(
    bench: Callable, bench_package: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root, arguments = bench_package(), ("--backend", "right", "--length", "24", "--length", "32")
    checked = run_.Asker.checked
    seen: list[int] = []

    def dying(self: object, case: object, backend: object) -> object:
        seen.append(case.length)  # type: ignore[attr-defined]
        if len(seen) == 2:
            raise SystemError("as if killed")
        return checked(self, case, backend)  # type: ignore[arg-type]

    monkeypatch.setattr(run_.Asker, "checked", dying)
    with pytest.raises(SystemError):
        bench(root, *arguments)
    journal = tmp_path / "output" / "bench.journal.jsonl"
    with journal.open("a") as opened:
        opened.write('{"row": {"case"')  # half a line
    first = json.loads(journal.read_text().splitlines()[2])["row"]
    found = bench(root, *arguments)
    assert seen == [24, 32, 32]
    assert found.document.origin.resumed_rows == 1
    assert found.document.rows[0].timing.rounds_ns == tuple(map(tuple, first["timing"]["rounds_ns"]))
    assert [row.outcome for row in found.document.rows] == ["measured"] * 2
    assert not journal.exists()


@pytest.mark.parametrize("is_stopped_again", slow_unless({True}, [False, True]))
def test_what_failed_in_an_earlier_run_is_asked_again_behind_what_was_never_asked(
    is_stopped_again: bool, bench: Callable, bench_package: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, arguments = bench_package(), ("--backend", "right", *(f"--length={each}" for each in (24, 32, 40)))
    checked = run_.Asker.checked
    seen: list[int] = []

    def failing(self: object, case: object, backend: object) -> object:
        seen.append(case.length)  # type: ignore[attr-defined]
        if seen == [24]:
            raise NoTime(RowOutcome.OUT_OF_MEMORY, "as if there were none left")
        if seen == [24, 32, 40] or (is_stopped_again and seen.count(24) == 2):
            raise KeyboardInterrupt
        return checked(self, case, backend)  # type: ignore[arg-type]

    monkeypatch.setattr(run_.Asker, "checked", failing)
    first = bench(root, *arguments).document
    assert [row.outcome for row in first.rows] == ["out_of_memory", "measured", "not_run"]
    second = bench(root, *arguments).document
    assert seen == [24, 32, 40, 40, 24]
    assert second.rows[1] == first.rows[1]
    assert [row.outcome for row in second.rows[1:]] == ["measured"] * 2
    assert second.rows[0] == first.rows[0] if is_stopped_again else second.rows[0] != first.rows[0]
    assert second.partial is is_stopped_again
