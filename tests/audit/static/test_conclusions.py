"""A conclusion is taken from the store exactly while everything that it was made of is the same."""

import ast
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static import per_file, reading
from audit.static.analysis import analyse
from audit.static.conclusions import Form, concluded
from audit.static.rules.engine import run_rules
from audit.static.rules.registry import all_rules
from audit.static.store import FactStore

Tree = Callable[[Mapping[str, str | bytes]], Path]
NUMBER = Form("number", str, int)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_file, "SETTLED_AFTER_NS", 0)


@pytest.fixture
def conclude(tmp_path: Path) -> Callable[..., tuple[int, int]]:
    """Draws a conclusion and returns it, with how often it had to be made."""
    made: list[int] = []

    def run(value: int, *given: str, witnesses: tuple[Path, ...] = (), form: Form[int] = NUMBER) -> tuple[int, int]:
        def make() -> int:
            made.append(value)
            return value

        before = len(made)
        with FactStore(tmp_path / "cache") as store:
            found = concluded(form, lambda: given, make, witnesses=lambda: witnesses, store=store)
        return found, len(made) - before

    return run


def test_a_conclusion_from_the_same_things_is_made_once(conclude: Callable[..., tuple[int, int]]) -> None:
    assert conclude(1, "a", "b") == (1, 1)
    assert conclude(2, "a", "b") == (1, 0)
    assert conclude(3, "a", "c") == (3, 1)
    assert conclude(4, "ab") == (4, 1)


@pytest.mark.parametrize("change", ["written", "removed", "made"])
def test_it_falls_with_a_witness_that_changes(
    conclude: Callable[..., tuple[int, int]], tmp_path: Path, change: str
) -> None:
    there, missing = tmp_path / "there.py", tmp_path / "missing.py"
    there.write_text("x = 1\n")
    assert conclude(1, witnesses=(there, missing)) == (1, 1)
    assert conclude(2, witnesses=(there, missing)) == (1, 0)
    match change:
        case "written":
            there.write_text("x = 22\n")
        case "removed":
            there.unlink()
        case "made":
            missing.write_text("")
    assert conclude(3, witnesses=(there, missing)) == (3, 1)


def test_a_witness_that_changed_just_now_cannot_speak(
    conclude: Callable[..., tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(per_file, "SETTLED_AFTER_NS", 3_600_000_000_000)
    witness = tmp_path / "a.py"
    witness.write_text("")
    assert conclude(1, witnesses=(witness,)) == (1, 1)
    assert conclude(2, witnesses=(witness,)) == (2, 1)


def test_what_changes_while_it_is_made_is_not_kept(tmp_path: Path) -> None:
    states = iter("abbb")

    def found(value: int) -> int:
        with FactStore(tmp_path / "cache") as store:
            return concluded(NUMBER, lambda: next(states, "b"), lambda: value, witnesses=lambda: (), store=store)

    assert [found(value) for value in (1, 2, 3)] == [1, 2, 2]


def test_a_text_of_another_form_is_made_anew(conclude: Callable[..., tuple[int, int]]) -> None:
    other = Form("number", lambda value: "no number", int)
    assert conclude(1, form=other) == (1, 1)
    assert conclude(2) == (2, 1)
    assert conclude(3) == (2, 0)


def test_without_a_store_it_is_made_each_time() -> None:
    values = iter((1, 2))
    for value in (1, 2):
        assert concluded(NUMBER, tuple, lambda: next(values), witnesses=lambda: (), store=None) == value


BASE = "from torch import nn\n\n\nclass Base(nn.Module):\n    pass\n"
MODEL = (
    "import torch.nn.functional as F\n\nfrom base import Base\n\n\nclass A(Base):\n    def forward(self, x):\n"
    "        return F.dropout(x)\n"
)


def test_a_change_in_an_installed_file_changes_what_a_class_is(tree: Tree, tmp_path: Path) -> None:
    root, site = tree({"zoo.py": MODEL}), tmp_path / "site"
    site.mkdir()

    def found() -> tuple[list[str], list[str]]:
        with FactStore(tmp_path / "cache") as store:
            analysis = analyse(root, root, installed=[site], store=store)
            return [item.qualname for item in analysis.models], [f.rule for f in run_rules(analysis, rules).findings]

    rules = [rule for rule in all_rules() if rule.id == "ATT008"]
    assert found() == ([], [])
    (site / "base.py").write_text(BASE)
    assert found() == found() == (["A"], ["ATT008"])
    (site / "base.py").write_text(BASE.replace("nn.Module", "object"))
    assert found() == ([], [])
    os.remove(site / "base.py")
    assert found() == ([], [])


def test_the_rules_that_are_on_are_part_of_what_a_report_is_made_of(tree: Tree, tmp_path: Path) -> None:
    root = tree({"base.py": BASE, "zoo.py": MODEL})
    with FactStore(tmp_path / "cache") as store:
        analysis = analyse(root, root, store=store)
        for on in (["ATT008"], ["SEC003"], ["ATT008", "SEC003"]):
            rules = [rule for rule in all_rules() if rule.id in on]
            assert [found.rule for found in run_rules(analysis, rules).findings] == [o for o in on if o == "ATT008"]


def test_a_failure_to_read_that_may_pass_is_not_kept(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree({"zoo.py": "import pickle\n\nx = pickle.load(f)\n"})
    rules = [rule for rule in all_rules() if rule.id == "SEC003"]

    def found() -> tuple[int, list[str]]:
        with FactStore(tmp_path / "cache") as store:
            analysis = analyse(root, root, store=store)
            return len(analysis.unreadable), [each.rule for each in run_rules(analysis, rules).findings]

    def no_memory(text: str) -> ast.Module:
        raise reading._UnreadableError("no memory", passing=True)

    with monkeypatch.context() as patched:
        patched.setattr(reading, "_parsed", no_memory)
        assert found() == (1, [])
    assert found() == found() == (0, ["SEC003"])


@pytest.mark.slow
def test_a_chain_of_calls_costs_at_most_its_own_file(tree: Tree) -> None:
    chain, branches = "x = q" + ".add(1)" * 400, "if a:\n    pass\n" + "elif b:\n    pass\n" * 2500
    root = tree({"deep.py": f"{chain}\n", "deeper.py": branches, "zoo.py": BASE})

    def called(depth: int) -> object:
        return called(depth - 1) if depth else analyse(root, root)

    analysis = analyse(root, root)
    assert [item.qualname for item in analysis.models] == ["Base"]
    assert "deep.py" not in {file.path for file in analysis.unreadable}
    assert called(300) == analysis


def test_a_link_that_gets_a_target_is_seen(tree: Tree, tmp_path: Path) -> None:
    root, site = tree({"zoo.py": MODEL}), tmp_path / "site"
    site.mkdir()
    (site / "base.py").symlink_to(tmp_path / "elsewhere.py")

    def found() -> list[str]:
        with FactStore(tmp_path / "cache") as store:
            return [item.qualname for item in analyse(root, root, installed=[site], store=store).models]

    assert found() == found() == []
    (tmp_path / "elsewhere.py").write_text(BASE)
    assert found() == ["A"]
