"""Which fixes stay after the audit has spoken; the audit itself is a stand-in that reads the file."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from audit.results import Outcome
from audit.static.fixes.places import Tree
from audit.static.fixes.run import Choice, FileFix, work_out
from audit.static.fixes.verify import Declared, Verifier
from audit.static.rules.registry import rules_by_id
from audit.static.rules.rule import FixSafety

HEADER = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"
ATTENTION = HEADER + "class A(nn.Module):\n    def forward(self, x):\n        return F.dropout(x)\n"
MENDED = ATTENTION.replace("dropout(x)", "dropout(x, training=self.training)")
PASSED, FAILED, ERROR, NOT_APPLICABLE = Outcome.PASSED, Outcome.FAILED, Outcome.ERROR, Outcome.NOT_APPLICABLE


def verified(
    folder: Path, text: str, before: Mapping[str, Outcome], after: Mapping[str, Outcome], *, qualname: str = "A"
) -> tuple[FileFix, str]:
    """Fix a file by ATT008 and API002; the audit says one thing of the text as it is, and another of any other."""
    path = folder / "zoo.py"
    path.write_text(text)

    def audit(name: str) -> Mapping[tuple[str, str], Outcome]:
        said = before if path.read_text() == text else after
        return {(check, name): outcome for check, outcome in said.items()}

    verifier = Verifier([Declared("a", path.resolve(), qualname)], audit)
    rules = tuple(rules_by_id()[name] for name in ("API002", "ATT008"))
    trees = [Tree(folder, folder)]
    run = work_out(
        trees,
        Choice(rules=rules, editing=frozenset({"API002", "ATT008"})),
        allowed={FixSafety.SAFE, FixSafety.UNSAFE},
        exclude=(),
        installed=(),
        held_back=verifier.held_back,
    )
    (file,) = verifier.write(run, trees).files
    return file, path.read_text()


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ({"x": FAILED}, {"x": PASSED}, True),
        ({"x": FAILED, "y": PASSED}, {"x": PASSED, "y": PASSED}, True),
        ({"x": ERROR}, {"x": FAILED}, True),
        ({"x": FAILED, "y": PASSED}, {"x": PASSED, "y": FAILED}, False),
        ({"x": PASSED}, {"x": PASSED}, False),
        ({"x": FAILED}, {"x": FAILED}, False),
        ({"x": FAILED}, {}, False),  # never reported
        ({"x": NOT_APPLICABLE}, {"x": PASSED}, False),
    ],
)
def test_a_fix_stays_only_where_a_result_got_better_and_none_worse(
    before: Mapping[str, Outcome], after: Mapping[str, Outcome], kept: bool, tmp_path: Path
) -> None:
    file, text = verified(tmp_path, ATTENTION, before, after)
    assert text == (MENDED if kept else ATTENTION)
    assert (file.written, bool(file.verified), file.fixed.rolled_back is None) == (kept, kept, kept)
    assert file.is_changed is kept


def test_the_reason_names_the_results_that_changed(tmp_path: Path) -> None:
    file, _ = verified(tmp_path, ATTENTION, {"x": FAILED, "y": PASSED}, {"x": PASSED, "y": ERROR})
    assert file.fixed.rolled_back == "by --verify: y of a: passed -> error"
    file, _ = verified(tmp_path, ATTENTION, {"x": FAILED}, {"x": PASSED})
    assert file.verified == "verified: x of a: failed -> passed"
    file, _ = verified(tmp_path, ATTENTION, {"x": FAILED}, {"x": FAILED})
    assert file.fixed.rolled_back == "by --verify: no result of a got better"


def test_a_finding_about_attention_that_no_spec_names_is_held_back_and_others_are_fixed(tmp_path: Path) -> None:
    text = ATTENTION + "\n\ny = torch.ger(a, b)\n"
    file, written = verified(tmp_path, text, {"x": FAILED}, {"x": PASSED}, qualname="Other")
    assert written == text.replace("ger", "outer")
    ((proposal, why),) = file.held
    assert (proposal.rule, why.startswith("unverified")) == ("ATT008", True)


def test_an_edit_of_any_rule_inside_a_declared_class_is_verified(tmp_path: Path) -> None:
    text = HEADER + "class A(nn.Module):\n    def forward(self, x):\n        return torch.ger(x, x)\n"
    assert verified(tmp_path, text, {"x": PASSED}, {"x": FAILED})[1] == text
    assert verified(tmp_path, text, {"x": PASSED}, {"x": FAILED}, qualname="B")[1] == text.replace("ger", "outer")


def test_the_file_is_put_back_when_the_audit_breaks_off(tmp_path: Path) -> None:
    class Stops(dict[str, Outcome]):
        def items(self):  # type: ignore[no-untyped-def]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verified(tmp_path, ATTENTION, {"x": FAILED}, Stops())
    assert (tmp_path / "zoo.py").read_text() == ATTENTION
