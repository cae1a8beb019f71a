"""Defects of what no specs declare: the script builds and calls it as was found out, and looks for the same mistake."""

import subprocess
import sys
from pathlib import Path

import pytest

from audit.attention.guessed import guessed_groups
from audit.attention.named import item_named
from audit.collected import Collected
from audit.execute import Execution
from audit.named import Named
from audit.results import Defect
from audit.target import Target

from ....slow_cases import slow_unless

CORPUS = Path(__file__).parents[3] / "fixtures" / "attention" / "corpus"
# File, class, what is replaced by what, and the class of the mistake that makes; no oracle knows the first three, nor
# what decodes.
EDITS = {
    "one ahead": (
        "nano_gpt", "CausalSelfAttention",
        "torch.tril(torch.ones(config.block_size, config.block_size))",
        "torch.tril(torch.ones(config.block_size, config.block_size), diagonal=1)", "later_tokens",
    ),
    "scale of the width": ("vit_qkv", "Attention", "self.head_dim**-0.5", "dim**-0.5", "scale_size"),
    "softmax twice": (
        "vit_qkv", "Attention", "attn.softmax(dim=-1)", "attn.softmax(dim=-1).softmax(dim=-1)", "softmax_twice",
    ),
    "mask inverted": ("einsum_heads", "Attention", "masked_fill(~mask[", "masked_fill(mask[", "mask_inverted"),
    "mask ignored across": (
        "cross", "CrossAttention", "sim = sim.masked_fill(", "sim.masked_fill(", "mask_ignored",
    ),
    "positions restart": (
        "rotary_cache", "RotaryAttention", "torch.arange(start, start + x.shape[2])", "torch.arange(x.shape[2])",
        "rotary_offset",
    ),
    "one key too few kept": (
        "rolling_cache", "RollingAttention", "k[:, :, -self.window :], v[:, :, -self.window :]",
        "k[:, :, 2 - self.window :], v[:, :, 2 - self.window :]", "rolling_cache",
    ),
}  # fmt: skip
FAST = {"one ahead"}


def defects_of(folder: Path, style: str, name: str) -> list[Defect]:
    target = Target.load_tree(folder)
    collected = Collected(target)
    groups = tuple(guessed_groups(collected, [item_named(collected, Named(folder / f"{style}.py", name))]))
    execution = Execution(target, groups)
    execution.run()
    collected.close()
    return execution.defects


def exit_code(script: Path, folder: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-I", script, folder], capture_output=True, text=True, timeout=240, check=False
    )
    return done.returncode


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", slow_unless(FAST, EDITS))
def test_the_script_fails_on_the_mistake_and_passes_without_it(name: str, tmp_path: Path) -> None:
    style, qualname, before, after, bug = EDITS[name]
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    text = (CORPUS / f"{style}.py").read_text()
    assert text.count(before) == 1
    for folder, content in ((right, text), (wrong, text.replace(before, after))):
        folder.mkdir()
        (folder / f"{style}.py").write_text(content)
    defect = defects_of(wrong, style, qualname)[0]
    assert defect.bug == bug, defect.explanation
    assert defect.reproducer is not None, defect.unreproduced
    assert str(tmp_path) not in defect.reproducer.script
    script = tmp_path / "script.py"
    script.write_text(defect.reproducer.script)
    assert (exit_code(script, wrong), exit_code(script, right)) == (1, 0)
