"""Each broken package has one defect, of the right class, whose script fails on it and passes on its clean twin."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit.attention.defects.classes import CLASSES
from audit.attention.plan import plan_attention
from audit.collected import Collected
from audit.execute import Execution
from audit.results import Defect, Outcome, Result
from audit.target import Target

from .test_pictures import looks_alike

FIXTURES = Path(__file__).parents[3] / "fixtures" / "attention"
# The class of the mistake in each package.
BUGS = {
    "wrong_scale": "scale_size",
    "leaks_future": "later_tokens",
    "ignores_mask": "mask_ignored",
    "overflows": "overflow",
    "cache_off_by_one": "rotary_offset",
    "dead_parameter": "gradients",
    "nan_gradient": "gradients",
    "overwrites_mask": "overwritten",
    "mask_replaces_causal": "mask_and_causal",
    "mask_of_first_sample": "mask_heads",
    "scale_by_length": "scale_size",
    "dropout_in_eval": "dropout",
    "causal_in_eval_only": "causality",
    "strides_ignored": "strides",
    "sees_itself_only": "one_key",
    "positions_undeclared": "undeclared_positions",
    "empty_row_not_zero": "empty_rows",
    "angles_in_low_precision": "angles",
}
# The mistake is one of its specs: code and script of its twin are the same, and what it shows is there too.
NO_TWIN = {"positions_undeclared", "empty_row_not_zero"}
# No table of weights or influences shows these.
NOT_SHOWN = {
    "overflows", "dead_parameter", "overwrites_mask", "nan_gradient", "dropout_in_eval", "angles_in_low_precision",
}  # fmt: skip
FAST = {"wrong_scale"}


@dataclass(frozen=True)
class Judged:
    results: list[Result]
    defects: list[Defect]


def judged(folder: Path) -> Judged:
    target = Target.load(folder)
    collected = Collected(target)
    execution = Execution(target, plan_attention(collected), probe=collected.probe)
    execution.run()
    collected.close()
    return Judged(execution.results, execution.defects)


def exit_code(script: Path, folder: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-I", script, folder], capture_output=True, text=True, timeout=240, check=False, cwd="/"
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "bug"), [pytest.param(*each, marks=[] if each[0] in FAST else pytest.mark.slow) for each in BUGS.items()]
)
def test_a_broken_package_has_one_defect_that_its_script_shows(name: str, bug: str, tmp_path: Path) -> None:
    found = judged(FIXTURES / name)
    assert [defect.bug for defect in found.defects] == [bug], [defect.explanation for defect in found.defects]
    (defect,) = found.defects
    failed = {result.check for result in found.results if result.outcome is Outcome.FAILED}
    assert set(defect.checks) == failed
    assert all(r.defect and r.defect.id == defect.id for r in found.results if r.outcome is Outcome.FAILED)
    assert defect.title == CLASSES[bug].name
    assert defect.location is not None
    assert (defect.picture is None) is (name in NOT_SHOWN)
    assert defect.picture is None or not looks_alike(defect.picture)
    assert defect.reproducer is not None, defect.unreproduced
    shown = defect.reproducer
    assert (shown.measured <= shown.bound) is shown.must_exceed
    assert shown.must_exceed is (name == "sees_itself_only")  # that other tokens have an influence
    script = tmp_path / defect.reproducer.file
    script.write_text(defect.reproducer.script)
    assert exit_code(script, FIXTURES / name) == 1
    if name not in NO_TWIN:
        assert exit_code(script, FIXTURES / "clean") == 0


@pytest.mark.slow
def test_a_script_cannot_tell_where_there_is_no_target(tmp_path: Path) -> None:
    (defect,) = judged(FIXTURES / "overwrites_mask").defects
    assert defect.reproducer is not None
    script = tmp_path / defect.reproducer.file
    script.write_text(defect.reproducer.script)
    done = subprocess.run(
        [sys.executable, "-I", script, tmp_path], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 2
    assert "give the folder of the target" in done.stdout


def test_a_defect_names_the_line_that_attends(tmp_path: Path) -> None:
    (defect,) = judged(FIXTURES / "wrong_scale").defects
    lines = (FIXTURES / "wrong_scale" / "zoo" / "attention.py").read_text().splitlines()
    assert defect.location is not None
    assert defect.location.line is not None
    assert "query @ key" in lines[defect.location.line - 1] or "softmax" in lines[defect.location.line - 1]
