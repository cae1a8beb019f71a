"""What `make test` leaves out is there, and is left out evenly."""

from pathlib import Path

import pytest

from tests.few_cases import CASES, WHOLE, left_out

HERE = Path(__file__).parent
FILE = "tests/cli/test_help.py"


def test_of_many_cases_some_of_all_kinds_are_left_in() -> None:
    ids = [f"{FILE}::test_many[{index:02}]" for index in range(2 * CASES["cli/test_help.py"])]
    others = [f"{FILE}::test_one", "tests/cli/test_other.py::test_many[1]"]
    found = set(left_out([*reversed(ids), *others]))
    assert found == set(ids[1::2])
    assert set(left_out(ids)) == found


def test_a_test_by_its_name_is_left_out_with_all_cases() -> None:
    ids = [f"tests/{WHOLE[0]}", f"tests/{WHOLE[0]}[case]"]
    assert set(left_out(ids)) == set(ids)


@pytest.mark.parametrize("test", [*CASES, *WHOLE])
def test_files_and_tests_are_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert (f"def {name}(" if name else "") in (HERE / path).read_text()


def test_a_test_that_is_named_has_cases_of_its_own() -> None:
    test = next(each for each in CASES if "::" in each)
    ids = [f"tests/{test}[{index:02}]" for index in range(CASES[test] + 3)]
    others = [f"tests/{test.partition('::')[0]}::test_other[{index}]" for index in range(99)]
    assert len(list(left_out([*ids, *others]))) == 3
