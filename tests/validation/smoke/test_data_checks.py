"""Data sets: each check has some that pass, that fail by one edit, and that it cannot judge."""

import re
from typing import NamedTuple

import pytest

from audit.results import Result

from .written import by_spec, write

pytestmark = pytest.mark.timeout(900)

PASSED, FAILED, ERROR, SKIPPED, NONE = "passed", "failed", "error", "skipped", "not_applicable"
ITEMS, WORKERS, ORDER, SPLITS = (f"smoke.data_{name}" for name in ("items", "workers", "order", "splits"))
HEAD = """
import os
import numpy
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

TENSORS = torch.arange(24.0).reshape(8, 3)
"""
MAPPED = """
class {name}(Dataset):
    def __len__(self):
        return {length}
    def __getitem__(self, index):
        {item}
"""
BY_NUMBER = """
class {name}(Dataset):
    def __getitem__(self, index):
        {item}
"""
ITERATED = """
class {name}(IterableDataset):
    def __iter__(self):
        {item}
"""
SPECS = """
from torch.utils.data import Subset
from zoo import sets

MODELS = {}
ATTENTION = {}
DATA = {}
TENSORS_ELSEWHERE = [[1.0], [2.0]]

def wrapped(built):
    return lambda: Subset(built(), [0, 1, 2])

def parts(dataset, first, second):
    return lambda: {"a": Subset(dataset, first), "b": Subset(dataset, second)}
"""


class Data(NamedTuple):
    """A data set: its items, how long it says it is (None of one that is iterated), and a change of its entry."""

    item: str = "return TENSORS[index], index"
    length: int | str | None = 8
    entry: str = ""


# Read by number without `__len__`, which a data set need not have.
UNSIZED = "unsized"
SHARDED = "info = get_worker_info(); yield from TENSORS[info.id if info else 0::info.num_workers if info else 1]"
# Name: the data set, the check that it is about, outcome, what the reason says.
CASES: dict[str, tuple[Data, str, str, str]] = {
    "right": (Data(), ITEMS, PASSED, ""),
    "one_too_many": (Data(length=9), ITEMS, FAILED, "^read raised IndexError"),
    "ends_early": (
        Data("yield from TENSORS", None, "['build'] = type('Long', (built,), {'__len__': lambda self: 9})"),
        ITEMS, FAILED, "^its length is 9, and it has 8 items$",
    ),
    "empty": (Data(length=0), ITEMS, FAILED, "^the data set is empty$"),
    "has_no_length": (Data(length=UNSIZED), ITEMS, PASSED, ""),
    "has_no_length_and_no_items": (Data("raise IndexError", length=UNSIZED), ITEMS, FAILED, "^the data set is empty$"),
    "has_no_length_and_no_end": (
        Data("return TENSORS[index % 8] + index", length=UNSIZED), ITEMS, PASSED, "",
    ),
    "has_no_method_for_items": (
        Data("raise NotImplementedError", length=UNSIZED), ITEMS, FAILED, "^read raised NotImplementedError",
    ),
    "stand_in": (
        Data(entry="['build'] = lambda: TENSORS_ELSEWHERE"), ITEMS, ERROR,
        "^what is built is builtins:list, and nothing in it of the class declared, zoo.sets:stand_in$",
    ),
    "list_of_such": (
        Data(entry="['build'] = lambda built=built: [built(), built()]; entry['item'] = lambda held, i: held[i][i]"),
        ITEMS, PASSED, "",
    ),
    "part_of_one": (Data(entry="['build'] = wrapped(built)"), ITEMS, PASSED, ""),
    "holds_nan": (Data("return {'x': TENSORS[index] / (index != 3)}"), ITEMS, FAILED, r"^not finite: item 3\.x: 3$"),
    "holds_nan_in_an_array": (
        Data("return numpy.array([1.0, index, numpy.nan])"), ITEMS, FAILED, r"^not finite: item 0: 1, item 1: 1",
    ),
    "all_the_same": (Data("return TENSORS[0]"), ITEMS, FAILED, "^all of the 8 items read are the same$"),
    "changes": (Data("return TENSORS[index] + torch.rand(())"), ITEMS, FAILED, "^other items when they are read again"),
    "changes_as_declared": (
        Data("return TENSORS[index] + torch.rand(())", entry="['random'] = True"), ITEMS, PASSED, "",
    ),
    "opaque": (Data("return object()"), ITEMS, ERROR, "nothing can be compared"),
    "not_built": (Data(entry="['build'] = lambda: 1 / 0"), ITEMS, FAILED, "^build raised ZeroDivisionError"),
    "not_a_dict": (Data(entry=" = 3"), ITEMS, ERROR, "must be a dict, not int"),
    "unknown_key": (Data(entry="['length'] = 3"), ITEMS, ERROR, "unknown key 'length'"),
    "elsewhere": (Data(entry="['class'] = 'torch.utils.data:Dataset'"), ITEMS, FAILED, "not defined in the sources"),
    "depends_on_the_worker": (
        Data("return TENSORS[index] + (get_worker_info() is not None)"), WORKERS, FAILED, "; 8 differ$",
    ),
    "every_worker_reads_all": (
        Data("yield from TENSORS", None), WORKERS, FAILED, "^two workers give 16 items and one process 8; 8 differ$",
    ),
    "shared_out": (Data(SHARDED, None), WORKERS, PASSED, ""),
    "read_by_number": (Data(), WORKERS, PASSED, ""),
    "read_by_number_to_its_end": (Data(length=UNSIZED), WORKERS, NONE, "it has no `__len__`"),
    "random_items": (
        Data("return TENSORS[index] + torch.rand(())", entry="['random'] = True"), WORKERS, NONE, "'random': True",
    ),
    "worker_exits": (
        Data("get_worker_info() and os._exit(3); return TENSORS[index]"),
        WORKERS, FAILED, "^loading with 2 workers raised",
    ),
    "in_order": (Data(), ORDER, PASSED, ""),
    "in_order_to_its_end": (Data(length=UNSIZED), ORDER, NONE, "it has no `__len__`"),
    "depends_on_what_came_before": (
        Data("self.n = getattr(self, 'n', 0) + 1; return TENSORS[index] + (self.n > 20)"), ORDER, FAILED, "other items",
    ),
    "iterated": (Data(SHARDED, None), ORDER, NONE, "a loader cannot shuffle it"),
    "too_few": (Data(length=3), ORDER, ERROR, "too few to tell"),
    "split": (Data(entry="['splits'] = parts(built(), [0, 1], [2])"), SPLITS, PASSED, ""),
    "split_with_overlap": (
        Data(entry="['splits'] = parts(built(), [0, 1], [1])"), SPLITS, FAILED, "^a and b share 1 items$",
    ),
    "same_items_by_other_numbers": (
        Data("return TENSORS[index // 2]", entry="['splits'] = parts(built(), [0], [1])"),
        SPLITS, FAILED, "^a and b share 1 items$",
    ),
    "split_empty": (Data(entry="['splits'] = parts(built(), [], [1])"), SPLITS, ERROR, "of which empty: a$"),
    "split_in_a_list": (
        Data(entry="['splits'] = lambda: [0, 1]"), SPLITS, ERROR, "'splits' must return a dict .* not list",
    ),
    "split_into_nothing": (
        Data(entry="['splits'] = lambda: {'a': None}"), SPLITS, ERROR, "'splits' gives 'a' as NoneType",
    ),
    "split_raises": (Data(entry="['splits'] = lambda: 1 / 0"), SPLITS, FAILED, "^splits raised ZeroDivisionError"),
    "not_split": (Data(), SPLITS, NONE, "declares no 'splits'"),
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Result]]:
    sources, specs = HEAD, SPECS
    for name, (data, _, _, _) in CASES.items():
        form = ITERATED if data.length is None else BY_NUMBER if data.length == UNSIZED else MAPPED
        sources += form.format(name=name, item=data.item, length=data.length)
        specs += f"built = sets.{name}\nentry = {{'class': 'zoo.sets:{name}', 'build': built}}\n"
        specs += f"entry{data.entry}\n" if data.entry else ""
        specs += f"DATA[{name!r}] = entry\n"
    target = write(tmp_path_factory.mktemp("data"), {"zoo/sets.py": sources, "zoo/specs.py": specs})
    return by_spec(target)


@pytest.mark.parametrize("name", CASES)
def test_a_data_set_is_judged_as_it_is(results: dict[str, list[Result]], name: str) -> None:
    _, check, outcome, reason = CASES[name]
    (result,) = (each for each in results[name] if each.check == check)
    assert result.outcome == outcome, result.reason
    assert re.search(reason, result.reason or "", re.DOTALL), result.reason
    assert "internal error" not in (result.reason or "")


@pytest.mark.parametrize("check", [ITEMS, WORKERS, ORDER, SPLITS])
def test_a_check_is_seen_passing_failing_and_unable_to_judge(results: dict[str, list[Result]], check: str) -> None:
    outcomes = {each.outcome.value for found in results.values() for each in found if each.check == check}
    assert outcomes >= {PASSED, FAILED}
    assert outcomes & {ERROR, SKIPPED}


def test_nothing_more_is_said_of_one_whose_items_are_wrong(results: dict[str, list[Result]]) -> None:
    assert {each.outcome for each in results["one_too_many"] if each.check != ITEMS} == {SKIPPED}


def test_every_data_set_has_every_check(results: dict[str, list[Result]]) -> None:
    assert {tuple(sorted(each.check for each in results[name])) for name in CASES} == {(ITEMS, ORDER, SPLITS, WORKERS)}
    assert {each.subject.kind.value for name in CASES for each in results[name]} == {"dataset"}


@pytest.mark.parametrize(("declared", "outcome"), [("", SKIPPED), ("DATA = {}\n", FAILED)])
def test_data_sets_that_nobody_declares_are_told(
    tmp_path_factory: pytest.TempPathFactory, declared: str, outcome: str
) -> None:
    sources = HEAD + MAPPED.format(name="Alone", item="return TENSORS[index]", length=8)
    specs = f"MODELS = {{}}\nATTENTION = {{}}\n{declared}"
    target = write(tmp_path_factory.mktemp("undeclared"), {"zoo/sets.py": sources, "zoo/specs.py": specs})
    (result,) = (each for each in by_spec(target)["zoo"] if each.check == "smoke.data_declared")
    assert (result.outcome, "zoo.sets:Alone" in (result.reason or "")) == (outcome, True)


def test_a_package_without_data_sets_has_none_to_declare(tmp_path_factory: pytest.TempPathFactory) -> None:
    target = write(tmp_path_factory.mktemp("none"), {"zoo/specs.py": "MODELS = {}\nATTENTION = {}\n"})
    (result,) = (each for each in by_spec(target)["zoo"] if each.check == "smoke.data_declared")
    assert result.outcome == NONE
