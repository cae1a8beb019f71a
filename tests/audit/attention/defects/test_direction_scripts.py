"""The script of a causal mask that is turned round exits 1 while it is, and 0 when it has been turned back."""

import subprocess
import sys
from pathlib import Path

import pytest

from audit.attention.guessed import guessed_groups
from audit.attention.named import item_named
from audit.attention.plan import plan_attention
from audit.collected import Collected
from audit.execute import Execution
from audit.named import Named
from audit.results import Defect
from audit.target import Target

from ....slow_cases import slow_unless
from .test_direction import RIGHT, WRONG, filled, kept, specs_of

# What is wrong, and what it is when it is mended.
_MENDED = {
    "kept_inverted": RIGHT["kept"],
    "torchs_inverted": RIGHT["torchs"],
    "filled_inverted": RIGHT["filled"],
    "filled_finite_inverted": RIGHT["filled_finite"],
}
_WINDOW = (kept("triu().tril(3)"), kept("tril().triu(-3)"))
_DECLARED_AWAY = (filled("tril()", "-1e9"), filled("bool()", "0"))


def exit_code(script: str, folder: Path) -> int:
    path = folder / "script.py"
    path.write_text(script)
    command = [sys.executable, "-I", path, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode


def _script(defects: list[Defect]) -> str:
    (defect,) = [each for each in defects if each.bug == "causal_inverted"]
    assert defect.reproducer is not None, defect.unreproduced
    return defect.reproducer.script


@pytest.mark.parametrize("name", slow_unless({"kept_inverted"}, _MENDED))
def test_a_class_without_specs_has_a_script_that_shows_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "layer.py"
    path.write_text(WRONG[name][0])
    target = Target.load_tree(tmp_path)
    collected = Collected(target)
    groups = guessed_groups(collected, [item_named(collected, Named(path, "Attention"))])
    execution = Execution(target, tuple(groups))
    collected.close()
    execution.run()
    script = _script(execution.defects)
    assert exit_code(script, tmp_path) == 1
    path.write_text(_MENDED[name])
    assert exit_code(script, tmp_path) == 0


@pytest.mark.parametrize(
    ("texts", "is_causal", "more"),
    [((WRONG["kept_inverted"][0], RIGHT["kept"]), True, ""), (_WINDOW, True, "window=4"), (_DECLARED_AWAY, False, "")],
    ids=["causal", "window", "declared away"],
)
def test_an_entry_of_the_specs_has_a_script_that_shows_it(
    tmp_path: Path, texts: tuple[str, str], is_causal: bool, more: str
) -> None:
    wrong, right = texts
    specs_of(tmp_path, {"layer": wrong}, is_causal={"layer": is_causal}, more=more)
    target = Target.load(tmp_path)
    collected = Collected(target)
    execution = Execution(target, plan_attention(collected), probe=collected.probe)
    execution.run()
    collected.close()
    script = _script(execution.defects)
    assert exit_code(script, tmp_path) == 1
    (tmp_path / "zoo" / "layer.py").write_text(right)
    assert exit_code(script, tmp_path) == 0
