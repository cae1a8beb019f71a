"""The text of scripts: Python, whatever the target's names, and only with torch and the target."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from audit.attention.contract import Contract
from audit.attention.reproducers.call import Unwritable, calling
from audit.attention.reproducers.reference import can_be_written
from audit.attention.reproducers.relations import ORACLE, RELATIONS
from audit.attention.reproducers.scripts import script_of
from audit.attention.subject import AttentionSubject
from audit.target import Target

CLEAN = Path(__file__).parents[2] / "fixtures" / "attention" / "clean"
CONTRACT = {
    "embed_dim": 24,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_dim": 8,
    "is_causal": True,
    "key_mask": True,
    "window": 3,
    "empty_row": "zeros",
    "rotary_base": 10000.0,
    "rotary_layout": "interleaved",
    "head_grouping": "tiled",
    "projections": {"query": "q", "key": "k", "value": "v", "output": "o"},
}
HOSTILE = ['x\'"""\nimport os\nos.abort()\n', "é\u202e\u2028", "\\", "{0}{name}%s", "'''", "a\udcff"]


@pytest.fixture(scope="module")
def target() -> Target:
    return Target.load(CLEAN)


def subject(name: str = "attention", **changes: object) -> AttentionSubject:
    return AttentionSubject(
        name=name,
        source={"kind": "spec", "specs": "zoo.specs", "name": name},
        contract=Contract.model_validate(CONTRACT | changes),
        declared="zoo.attention:Attention",
        is_function=False,
        decodes=True,
    )


def guess(**changes: object) -> AttentionSubject:
    form = {
        "canonical": "module", "layout": "BLC", "out": "BLC", "said": False, "pick": [], "mask": None, "heads": 4,
        "rope": 8, "required_mask": {"parameter": "", "convention": "bool keep", "shape": "BL"},
        "arguments": {"x": "hidden"}, "positional": [],
    }  # fmt: skip
    choices = {"arguments": {"dim": 24}, "opened": [], "form": form | changes}
    source = {
        "kind": "guess",
        "path": str(CLEAN / "zoo" / "a.py"),
        "module": "zoo.a",
        "qualname": "A",
        "choices": choices,
    }
    return replace(subject(), source=source, is_declared=False)


@pytest.mark.parametrize("check", RELATIONS)
def test_every_script_is_python_that_imports_torch_and_the_target_alone(check: str, target: Target) -> None:
    given = subject()
    for relation in RELATIONS[check]:
        for setting in relation.settings(given):
            tree = ast.parse(script_of(given, relation, setting, calling(given, target, is_class=True), 0).text)
            imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
            imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            own = {"os", "signal", "sys", "tempfile", "traceback", "importlib"}
            assert {name.partition(".")[0] for name in imported} <= own | {"torch"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_of_the_target_is_a_text_in_the_script_and_nothing_more(name: str, target: Target) -> None:
    plain, given = subject(), subject(name)
    setting = ORACLE.settings(given)[0]
    texts = [script_of(each, ORACLE, setting, calling(each, target, is_class=True), 0).text for each in (plain, given)]
    trees = [ast.parse(text) for text in texts]
    constants = [{n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)} for tree in trees]
    assert name in constants[1]
    shapes = [[type(node) for node in ast.walk(tree)] for tree in trees]
    assert shapes[0] == shapes[1]
    assert texts[1].encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"x); import os; print(": "hidden"}},
        {"pick": ["._x; import os"]},
        {"mask": {"parameter": "m=1); os.abort(", "convention": "bool keep", "shape": "BL"}},
        {"heads": "4)\nimport os"},
        {"arguments": {"x": {"const": {"$name": "os.abort()"}}}},
        {"arguments": {"x": {"const": {"$call": "exec('1')", "arguments": {}}}}},
        {"layout": "nonsense"},
    ],
)
def test_choices_that_are_no_names_are_not_written(changes: dict[str, object], target: Target) -> None:
    with pytest.raises(Unwritable):
        calling(guess(**changes), target, is_class=True)


def test_choices_that_are_names_are(target: Target) -> None:
    lines = calling(guess(), target, is_class=True)
    assert "    from zoo.a import A" in lines
    assert any("dim=24" in line for line in lines)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("place", ["absent", "."])
def test_a_script_that_is_given_another_folder_says_so_in_one_line(
    declared: bool, place: str, target: Target, tmp_path: Path
) -> None:
    given = subject() if declared else guess()
    script = tmp_path / "script.py"
    lines = calling(given, target, is_class=True)
    script.write_text(script_of(given, ORACLE, ORACLE.settings(given)[0], lines, 0).text)
    done = subprocess.run(
        [sys.executable, "-I", script, tmp_path / place], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2  # 1 says that the defect is there
    file = "zoo/specs.py" if declared else "zoo/a.py"
    assert done.stdout.startswith(f"cannot be told: no file {file} in {tmp_path / place}")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_contract_that_says_more_than_the_lines_know_has_no_written_reference() -> None:
    assert can_be_written(subject())
    assert not can_be_written(subject(projections=None))
