"""One mistake has one defect, of its own class, where another would be near: masks of causal modules above all."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch

from audit.attention.defects import conclude
from audit.attention.guessed import guessed_groups
from audit.attention.named import item_named
from audit.collected import Collected
from audit.execute import Execution
from audit.named import Named
from audit.results import Defect, Outcome, Result
from audit.target import Target

from .test_pictures import looks_alike

_KEYS = "mask: (batch, keys), True where a key may be attended to."
_PAIRS = "mask: (batch, queries, keys), True where a key may be attended to."
_APART = """
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, dim) for _ in range(3))
"""
_APART_MADE = """
        q, k, v = (each(x).view(b, n, self.num_heads, -1).transpose(1, 2)
                   for each in (self.q_proj, self.k_proj, self.v_proj))
"""
_FUSED = """
        self.qkv = nn.Linear(dim, 3 * dim)
"""
_FUSED_MADE = """
        q, k, v = (each.view(b, n, self.num_heads, -1).transpose(1, 2) for each in self.qkv(x).chunk(3, -1))
"""
_MASKED = """
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
        causal = torch.ones(n, n, dtype=torch.bool).tril()
        scores = scores.masked_fill(~causal, float("-inf"))
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
        out = scores.softmax(dim=-1) @ v
"""
_KEPT = """
        keep = torch.ones(n, n, dtype=torch.bool).tril()
        if mask is not None:
            keep = keep & mask[:, None, None, :]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
"""
_BY_HAND = """
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
        scores = scores.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), float("-inf"))
        weights = (scores - scores.amax(dim=-1, keepdim=True)).exp()
        out = (weights / weights.sum(dim=-1, keepdim=True)) @ v
"""


def module(layers: str, made: str, computed: str, *, mask: str = _KEYS) -> str:
    takes = "x, mask=None" if "mask is not None" in computed else "x"
    return f'''import math

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Causal multi-head self attention.

    {mask if "mask=None" in takes else ""}
    """

    def __init__(self, dim: int, num_heads: int = 4):
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
{layers}
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, {takes}):
        b, n, d = x.shape
{made}{computed}
        return self.out_proj(out.transpose(1, 2).reshape(b, n, d))
'''


def edited(text: str, before: str, after: str) -> str:
    assert text.count(before) == 1, f"{text.count(before)} x {before!r}"
    return text.replace(before, after)


APART = module(_APART, _APART_MADE, _MASKED)
FUSED = module(_FUSED, _FUSED_MADE, _MASKED)
KEPT = module(_FUSED, _FUSED_MADE, _KEPT)
APART_KEPT = module(_APART, _APART_MADE, _KEPT)
REPLACED = edited(module(_FUSED, _FUSED_MADE, _KEPT, mask=_PAIRS), "keep & mask[:, None, None, :]", "mask[:, None]")
LEGEND = edited(
    edited(FUSED, _KEYS, ""), "self attention.\n", "self attention with a key padding mask (True = may attend).\n"
)
BY_HAND = module(_FUSED, _FUSED_MADE, _BY_HAND)
RIGHT = {
    "apart": APART, "fused": FUSED, "kept": KEPT, "apart_kept": APART_KEPT, "replaced": REPLACED, "legend": LEGEND,
    "by_hand": BY_HAND,
}  # fmt: skip
_FILLED = "masked_fill(~mask[:, None, None, :], float"
# Text and the class of its mistake; None where none is named.
WRONG: dict[str, tuple[str, str | None]] = {
    "apart_inverted": (edited(APART, "~mask[", "mask["), "mask_inverted"),
    "fused_inverted": (edited(FUSED, "~mask[", "mask["), "mask_inverted"),
    "legend_inverted": (edited(LEGEND, "~mask[", "mask["), "mask_inverted"),
    "finite_inverted": (
        edited(FUSED, f'{_FILLED}("-inf"))', "masked_fill(mask[:, None, None, :], torch.finfo(x.dtype).min)"),
        "mask_inverted",
    ),
    "kept_inverted": (edited(KEPT, "keep & mask", "keep & ~mask"), "mask_inverted"),
    "kept_replaced": (edited(KEPT, "keep & mask[", "mask["), "mask_and_causal"),
    "apart_kept_replaced": (
        edited(APART_KEPT, "keep & mask[:, None, None, :]", "mask[:, None, None, :].expand(b, 1, n, n)"),
        "mask_and_causal",
    ),
    "too_near": (edited(APART, '~causal, float("-inf")', "~causal, -100.0"), "mask_value"),
    "another_sum": (
        edited(BY_HAND, "weights.sum(dim=-1, keepdim=True)", "weights.sum(dim=-1, keepdim=True).sqrt()"), "normaliser",
    ),
    "queries_hidden": (edited(KEPT, "mask[:, None, None, :]", "mask[:, None, :, None]"), "mask_axis"),
    "samples_mixed": (
        edited(FUSED, "out.transpose(1, 2).reshape(b, n, d)", "out.flatten(0, 1).transpose(0, 1).reshape(b, n, d)"),
        "heads",
    ),
    "replaced_and_first_hidden": (edited(REPLACED, "mask[:, None]", "mask[:, None] & (torch.arange(n) > 0)"), None),
}  # fmt: skip


_LATE = edited(
    APART,
    f'            scores = scores.{_FILLED}("-inf"))\n        out = scores.softmax(dim=-1) @ v',
    "            pass\n        weights = scores.softmax(dim=-1)\n"
    "        if mask is not None:\n            weights = weights.masked_fill(~mask[:, None, None, :], 0.0)\n"
    "        out = weights @ v",
)
_CAUSAL = '        scores = scores.masked_fill(~causal, float("-inf"))\n'
WRONG["hidden_after_softmax"] = (_LATE, "mask_ignored")
WRONG["all_seen_hidden_after_softmax"] = (
    edited(edited(_LATE, _CAUSAL, ""), "Causal multi-head", "Multi-head"),
    "mask_ignored",
)


NOT_SHOWN = {"another_sum"}  # each row is drawn against its largest, whatever it sums to


class Concluded:
    """What was found of each text."""

    def __init__(self, root: Path, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            (root / f"{name}.py").write_text(text)
        target = Target.load_tree(root)
        collected = Collected(target)
        items = [item_named(collected, Named(root / f"{name}.py", "Attention")) for name in texts]
        execution = Execution(target, tuple(guessed_groups(collected, items)))
        collected.close()
        execution.run()
        self._results, self._defects = execution.results, execution.defects

    def results(self, name: str) -> dict[str, Result]:
        return {
            result.check.removeprefix("attention."): result
            for result in self._results
            if result.subject.path == f"{name}.py"
        }

    def defects(self, name: str) -> list[Defect]:
        return [defect for defect in self._defects if defect.subject.path == f"{name}.py"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Concluded]:
    with pytest.MonkeyPatch.context() as patch:
        # Scripts have tests of their own, and take longer than all the rest.
        patch.setattr(conclude, "reproducer_of", lambda *args, **named: "left out")
        texts = RIGHT | {name: text for name, (text, _) in WRONG.items()}
        yield Concluded(tmp_path_factory.mktemp("named"), texts)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_has_no_defect(found: Concluded, name: str) -> None:
    assert found.results(name)["built"].outcome is Outcome.PASSED
    assert not found.defects(name)
    outcomes = {check: result.outcome for check, result in found.results(name).items()}
    assert not {Outcome.FAILED, Outcome.ERROR} & set(outcomes.values()), outcomes


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_defect_of_its_class(found: Concluded, name: str) -> None:
    assert [defect.bug for defect in found.defects(name)] == [WRONG[name][1]], [
        defect.explanation for defect in found.defects(name)
    ]


@pytest.mark.parametrize("name", WRONG)
def test_its_picture_looks_wrong(found: Concluded, name: str) -> None:
    (defect,) = found.defects(name)
    if name in NOT_SHOWN:
        assert defect.picture is None
    else:
        assert defect.picture is not None
        assert not looks_alike(defect.picture)


def test_what_is_hidden_after_the_softmax_is_seen_to_have_an_influence(found: Concluded) -> None:
    (defect,) = found.defects("all_seen_hidden_after_softmax")
    assert defect.picture is not None
    observed, expected = (torch.tensor(each) for each in (defect.picture.observed, defect.picture.expected))
    assert not expected[:5, 5:].any()
    assert (observed[:5, 5:] > 0).all()


def test_views_are_not_blamed_for_what_has_no_number_in_copies_either(found: Concluded) -> None:
    assert found.results("apart_inverted")["noncontiguous"].outcome is Outcome.PASSED


def test_a_mask_that_may_replace_the_causal_one_is_judged_where_it_holds_it(found: Concluded) -> None:
    assert found.results("replaced")["noop_mask"].outcome is Outcome.PASSED
    failed = found.results("replaced_and_first_hidden")["noop_mask"]
    assert "under a mask that allows what the causal one does" in str(failed.reason)
