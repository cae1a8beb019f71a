"""Attention that turns autocast on: its rounding is no failure of it, and what is more than rounding is one."""

import pytest

from audit.attention.plan import plan_named
from audit.named import Named
from audit.results import Outcome, Result
from audit.session import Request, conduct
from audit.target import Target

LAYERS = """
import torch
from torch import nn


class Right(nn.Module):
    scale = 1.0

    def __init__(self, dim=32, num_heads=4):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))

    def attend(self, x):
        b, t, c = x.shape
        q, k, v = (p(x).view(b, t, self.num_heads, -1).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        scores = (q @ k.transpose(-1, -2)).float() * self.scale * self.head_dim**-0.5
        return self.out_proj((scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(b, t, c))

    def forward(self, x):
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            return self.attend(x).float()


class Unscaled(Right):
    scale = 3.0


class Cut(Right):
    def forward(self, x):
        return self.attend(x.bfloat16().float())
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    root = tmp_path_factory.mktemp("autocast")
    (root / "layers.py").write_text(LAYERS)
    names = [Named(root / "layers.py", name) for name in ("Right", "Unscaled", "Cut")]
    only = ("attention.oracle", "attention.noncontiguous", "attention.inputs_untouched")
    tree = Target.load_tree(root).limited_to((root / "layers.py",))
    return list(conduct(tree, Request(command="attention", planners=[plan_named(names)], only=only)).results)


def _of(results: list[Result], name: str, check: str) -> Result:
    (found,) = [each for each in results if each.subject.qualname == name and each.check == f"attention.{check}"]
    return found


def test_rounding_of_the_dtype_of_autocast_is_an_error_that_says_how_to_be_judged(results: list[Result]) -> None:
    for check in ("oracle", "noncontiguous"):
        result = _of(results, "Right", check)
        if check == "noncontiguous" and result.outcome is Outcome.PASSED:
            continue  # where a product of a view rounds as that of its copy does
        assert result.outcome is Outcome.ERROR, result.reason
        assert "forward turns autocast on for bfloat16" in (result.reason or "")
        assert 'declare "dtypes": ["bfloat16"]' in (result.fix or "")
        assert float(str(result.evidence.measured)) > float(str(result.evidence.bound))
    assert _of(results, "Right", "inputs_untouched").outcome is Outcome.PASSED


def test_more_than_its_rounding_is_a_failure(results: list[Result]) -> None:
    assert _of(results, "Unscaled", "oracle").outcome is Outcome.FAILED


def test_a_cut_without_autocast_is_a_failure(results: list[Result]) -> None:
    assert _of(results, "Cut", "oracle").outcome is Outcome.FAILED
