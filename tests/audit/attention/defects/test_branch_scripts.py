"""A branch that differs comes with a script, which carries the stand-in that it needs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audit.attention.contract import Contract
from audit.attention.found import find, source_of
from audit.attention.shrinking import reproducer_of
from audit.attention.subject import AttentionSubject
from audit.execute import open_probe
from audit.plan import Run
from audit.results import Reproducer
from audit.target import Target

from ....slow_cases import slow_unless
from ..judged_branches import FOLDER, edited
from ..test_branches import NAMES, WRONG

SHOWN = {
    "scale forgotten in the fallback": "setattr(part, 'flash', False)",
    "scale forgotten without fused attention": "without_sdpa()",
    "scale passed to flash as well": "def flash_attn_func(",
    "mask dropped for flash": "def flash_attn_varlen_func(",
    "xformers is causal": "class LowerTriangularMask(",
    "bias of the other sign": "def flex_attention(",
    "beginnings of the other side": "class Misused(",
    "cap forgotten for flash": "def flash_attn_func(",
}  # fmt: skip
FAST = {"scale passed to flash as well"}


@contextmanager
def found_in(path: Path, name: str) -> Iterator[tuple[AttentionSubject, Run]]:
    target = Target.load_tree(path.parent)
    with open_probe(target) as probe:
        found = find(probe, path, name, seed=0)
        way = found.subjects[0]
        subject = AttentionSubject(
            name=name,
            source=source_of(path, name, way),
            contract=Contract.model_validate(way.contract),
            declared=found.declared,
            is_function=False,
            decodes=way.decodes,
            is_declared=False,
            option=way.name,
            claims=way.claims,
        )
        yield subject, Run(target=target, probe=probe, seed=0)


def exit_code(script: Path, folder: Path) -> int:
    command = [sys.executable, "-I", script, folder]
    return subprocess.run(command, capture_output=True, timeout=240, check=False).returncode


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", slow_unless(FAST, SHOWN))
def test_the_script_fails_on_the_branch_and_passes_without_the_mistake(name: str, tmp_path: Path) -> None:
    (edit,) = (each for each in WRONG if each.name == name)
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for folder, text in ((right, (FOLDER / f"{edit.style}.py").read_text()), (wrong, edited(edit))):
        folder.mkdir()
        (folder / f"{edit.style}.py").write_text(text)
    with found_in(wrong / f"{edit.style}.py", NAMES[edit.style]) as (subject, run):
        found = reproducer_of(subject, run, ["attention.branches"], file="branch.py", is_class=True)
    assert isinstance(found, Reproducer), found
    assert SHOWN[name] in found.script
    assert str(tmp_path) not in found.script
    script = tmp_path / "script.py"
    script.write_text(found.script)
    assert (exit_code(script, wrong), exit_code(script, right)) == (1, 0)
    assert exit_code(script, tmp_path / "nowhere") == 2


def test_what_was_seen_on_a_gpu_has_no_script(tmp_path: Path) -> None:
    path = tmp_path / "fallback.py"
    path.write_text((FOLDER / "fallback.py").read_text())
    with found_in(path, NAMES["fallback"]) as (subject, run):
        there = Run(target=run.target.on_device("cuda", "a GPU"), probe=run.probe, seed=0)
        said = reproducer_of(subject, there, ["attention.branches"], file="branch.py", is_class=True)
        assert said == "scripts run on a CPU, and this was seen on a GPU"
