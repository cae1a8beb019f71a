import json
from pathlib import Path

from audit.mutation.mutants import Mutant
from validation.mutation.baseline import Baseline
from validation.mutation.records import Record, read_record
from validation.mutation.verdicts import selections

RECORD = Record.model_validate(
    {
        "collected": {"a.py::one": ["shared"], "a.py::two": [], "b.py::three": ["shared"], "b.py::four": []},
        "starts": ["b.py::four"],
        "lines": {
            "m.py": {"": [1, 2], "fixture:shared@": [5], "a.py::two": [7], "b.py::three": [8]},
        },
    }
)


def mutant(*lines: int) -> Mutant:
    return Mutant(operator="detach", path="m.py", line=lines[0], lines=range(lines[0], lines[-1] + 1), text="", diff="")


def test_tests_of_the_line_come_before_the_others_of_the_file() -> None:
    chosen = selections(mutant(7), Baseline(record=RECORD, seconds=1.0))
    assert chosen == [frozenset({"a.py::two", "b.py::four"}), frozenset({"a.py::one", "b.py::three"})]


def test_what_a_shared_fixture_runs_belongs_to_all_that_use_it() -> None:
    first, _ = selections(mutant(5), Baseline(record=RECORD, seconds=1.0))
    assert first == {"a.py::one", "b.py::three", "b.py::four"}


def test_what_runs_at_import_concerns_all_tests() -> None:
    assert selections(mutant(2), Baseline(record=RECORD, seconds=1.0)) == [None]


def test_without_lines_all_tests_are_run() -> None:
    assert selections(mutant(7), Baseline(record=Record(), seconds=1.0)) == [None]


def test_a_file_that_no_test_runs_is_left_to_those_that_start_processes() -> None:
    other = Mutant(operator="detach", path="n.py", line=1, lines=range(1, 2), text="", diff="")
    assert selections(other, Baseline(record=RECORD, seconds=1.0)) == [frozenset({"b.py::four"})]


def test_a_record_is_read_as_far_as_it_has_a_form(tmp_path: Path) -> None:
    path = tmp_path / "record"
    lines = [json.dumps({"kind": "failed", "test": "t", "text": "why"}), "{", "[]", "null", '{"kind": "finished", "sta']
    path.write_text("\n".join(lines))
    assert read_record(path) == Record(failed={"t": "why"})
    path.write_text(json.dumps({"kind": "finished", "status": "not a number", "tests": 3}))
    assert read_record(path) == Record()
    assert read_record(tmp_path / "missing") == Record()


def test_the_time_limit_is_a_multiple_of_the_start_and_the_chosen_tests() -> None:
    record = Record.model_validate(
        {"tests": {"a": {"outcome": "passed", "seconds": 30}, "b": {"outcome": "passed", "seconds": 60}}}
    )
    baseline = Baseline(record=record, seconds=100.0)
    assert baseline.time_limit_s(None) == 500.0
    assert baseline.time_limit_s(frozenset({"a"})) == 5 * (10 + 30)
