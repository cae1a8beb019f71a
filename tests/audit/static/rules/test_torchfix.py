"""Every rule of TorchFix 0.7.0 has an equivalent here that finds what TorchFix's own code looks for."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from audit.static.analysis import analyse
from audit.static.rules.engine import run_rules
from audit.static.rules.rule import snippet

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
IDS = (
    *("TOR001", "TOR002", "TOR003", "TOR004", "TOR101", "TOR102", "TOR103", "TOR104", "TOR105"),
    *("TOR106", "TOR107", "TOR201", "TOR202", "TOR203", "TOR401", "TOR901"),
)


@pytest.fixture(scope="module")
def agreement() -> Iterator[ModuleType]:
    """The benchmark that compares the two, as a module."""
    spec = importlib.util.spec_from_file_location("torchfix_agreement", BENCHMARKS / "torchfix_agreement.py")
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = path
    for name in (spec.name, "torchfix_constructs"):
        sys.modules.pop(name, None)


def test_the_table_names_every_rule_of_torchfix(agreement: ModuleType) -> None:
    assert tuple(agreement.TORCHFIX_RULES) == IDS


@pytest.mark.parametrize("name", IDS)
def test_a_rule_of_torchfix_has_an_equivalent_that_finds_its_example(
    agreement: ModuleType, name: str, tmp_path: Path
) -> None:
    rule = agreement.equivalents()[name]
    path = tmp_path / rule.example_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(snippet(rule.INVALID[0]))
    assert {found.rule for found in run_rules(analyse(tmp_path, tmp_path), [rule]).findings} == {rule.id}


def test_our_rules_report_every_marked_line_of_the_constructs_and_no_other(
    agreement: ModuleType, tmp_path: Path
) -> None:
    expected: dict[str, set[tuple[int, str]]] = {}
    for name, text in agreement.programs().items():
        (tmp_path / name).write_text(text)
        expected[name] = agreement.marked_lines(text)
    found: dict[str, set[tuple[int, str]]] = {name: set() for name in expected}
    for rule, places in agreement.ours(tmp_path).items():
        for path, line in places:
            found[path].add((line, rule))
    assert found == expected


def test_the_constructs_cover_every_rule(agreement: ModuleType) -> None:
    marked = {name for text in agreement.programs().values() for _, name in agreement.marked_lines(text)}
    assert marked == set(IDS)


def test_what_torchfix_prints_is_read_by_place(agreement: ModuleType, tmp_path: Path) -> None:
    printed = f"{tmp_path}/a/b.py:3:5: TOR101 [*] Use of deprecated function torch.ger\n--- {tmp_path}/a/b.py\n+x\n"
    theirs = agreement.places(printed, tmp_path)
    assert theirs == {"TOR101": {("a/b.py", 3)}}
    found = agreement.compared(theirs, {"TOR101": {("a/b.py", 4)}})["TOR101"]
    assert (found.both, found.only_torchfix, found.only_ours) == (set(), {("a/b.py", 3)}, {("a/b.py", 4)})
