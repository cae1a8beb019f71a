"""What interpreted Triton kernels address: inside of what they are given passes, outside fails, unseen is no pass."""

import importlib.util
from pathlib import Path

import pytest

from audit.judgement import Judgement
from audit.results import Outcome

from .judged_branches import FOLDER, Edit, edited, judged

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
CHECK = "attention.kernel_memory"
STYLE, NAME = "row_kernel", "RowAttention"
TEXT = (FOLDER / f"{STYLE}.py").read_text()
OUTSIDE = {
    "one key more": ("keys[:, None] < length", "keys[:, None] <= length", "attend reads behind k_ptr"),
    "keys before the first": ("(head * length + keys[:, None])", "(head * length + keys[:, None] - 1)", "reads before"),
    "features not masked": (
        "tl.store(out_ptr + own, out, mask=features < dim)", "tl.store(out_ptr + own, out)",
        "attend writes behind out_ptr",
    ),
    "one row more": ("attend[(batch * heads, length)]", "attend[(batch * heads, length + 1)]", "attend writes behind"),
}  # fmt: skip


def judgement_of(folder: Path, text: str) -> Judgement:
    """Judge the way in which it is built by default; the option is a branch of it."""
    return judged(folder, text, NAME, check=CHECK)[0]


def test_what_stays_inside_passes_and_is_counted(tmp_path: Path) -> None:
    found = judgement_of(tmp_path, TEXT)
    assert found.outcome is Outcome.PASSED, found.reason
    assert found.measured is not None
    assert found.measured.value == 0
    assert "of attend" in found.measured.origin


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_lies_outside_is_found_where_it_is(tmp_path: Path, name: str) -> None:
    before, after, said = OUTSIDE[name]
    text = edited(Edit(name=name, style=STYLE, before=before, after=after))
    found = judgement_of(tmp_path, text)
    assert found.outcome is Outcome.FAILED, found.reason
    assert said in (found.reason or "")
    assert found.measured is not None
    assert found.measured.value > 0
    assert found.location is not None
    assert found.location.line is not None
    assert "tl." in text.splitlines()[found.location.line - 1]


def test_a_kernel_that_is_never_called_is_not_judged(tmp_path: Path) -> None:
    found = judgement_of(tmp_path, TEXT.replace("if self.use_triton and", "if len(x) > 100 and"))
    assert found.outcome is Outcome.SKIPPED
    assert "its kernel was never called" in (found.reason or "")


def test_addresses_that_a_kernel_finds_in_memory_are_not_judged(tmp_path: Path) -> None:
    text = (
        TEXT.replace(
            "    q = tl.load(q_ptr + own,",
            "    q_ptr = tl.load(table_ptr).to(tl.pointer_type(tl.float32))\n    q = tl.load(q_ptr + own,",
        )
        .replace("def attend(q_ptr,", "def attend(table_ptr,")
        .replace("            q, k, v, out, length", "            torch.tensor([q.data_ptr()]), k, v, out, length")
    )
    found = judgement_of(tmp_path, text)
    assert found.outcome is Outcome.SKIPPED, found
    assert "what they find in memory" in (found.reason or "")


def test_where_no_kernel_is_there_is_nothing_to_judge(tmp_path: Path) -> None:
    found = judged(tmp_path, (FOLDER / "fallback.py").read_text(), "CausalAttention", check=CHECK)[0]
    assert found.outcome is Outcome.NOT_APPLICABLE
