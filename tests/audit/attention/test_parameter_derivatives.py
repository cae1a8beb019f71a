"""Gradients of parameters are the derivatives of the function, where code of the target computes them itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.results import Outcome

from .judged_sources import JudgedSources

SOURCE = '''
import torch
from torch import Tensor, nn


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight.mT

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return grad @ weight, (grad.mT @ x).sum(dim=0)


class Attention(nn.Module):
    """Attention over (batch, length, dim) with a gate on what each head has found."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.weight = nn.Parameter(torch.randn(3 * dim, dim) / dim**0.5)
        self.gate = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, length, dim)."""
        made = _Linear.apply(x, self.weight)
        q, k, v = made.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        out = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        return self.proj(out * torch.sigmoid(self.gate(x)))
'''
OTHERS = {
    "factor": ("(grad.mT @ x).sum(dim=0)", "0.5 * (grad.mT @ x).sum(dim=0)"),
    "first sample": ("(grad.mT @ x).sum(dim=0)", "(grad.mT @ x)[0]"),
    "only float32": (
        "x @ weight.mT\n",
        "(x if x.dtype == torch.float32 else x.no_such()) @ weight.mT\n",
    ),
    "cut on purpose": ("self.proj(out *", "self.proj(out.detach() *"),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedSources]:
    texts = {"right": SOURCE}
    for name, (before, after) in OTHERS.items():
        assert SOURCE.count(before) == 1
        texts[name.replace(" ", "_")] = SOURCE.replace(before, after)
    judged = JudgedSources(Path(tmp_path_factory.mktemp("sources")), {n: (t, "Attention") for n, t in texts.items()})
    yield judged
    judged.close()


def test_gradients_of_parameters_that_are_right_pass(sources: JudgedSources) -> None:
    (found,) = sources.judge("right", "derivatives")["derivatives"]
    assert found.outcome is Outcome.PASSED, found


@pytest.mark.parametrize("name", ["factor", "first_sample"])
def test_one_edit_of_a_backward_pass_is_found(sources: JudgedSources, name: str) -> None:
    (found,) = sources.judge(name, "derivatives")["derivatives"]
    assert found.outcome is Outcome.FAILED, found
    assert "the gradient of weight is not the derivative" in str(found.reason)


def test_what_does_not_run_in_float64_cannot_be_judged(sources: JudgedSources) -> None:
    (found,) = sources.judge("only_float32", "derivatives")["derivatives"]
    assert found.outcome is Outcome.NOT_APPLICABLE
    assert "cannot be run in float64" in str(found.reason)


def test_what_is_cut_on_purpose_raises_no_alarm(sources: JudgedSources) -> None:
    (found,) = sources.judge("cut_on_purpose", "derivatives")["derivatives"]
    assert found.outcome is Outcome.NOT_APPLICABLE, found
