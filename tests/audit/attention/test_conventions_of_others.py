"""Conventions of other people's packages: tables of cosines and sines in pairs, caches that stay in the module, images,
time before batch, weights that are divided by the length. What is right fails nowhere, one edit is found.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from audit.attention.cases import plane_length
from audit.attention.contract import Contract
from audit.attention.subject import LENGTH, AttentionSubject
from audit.judgement import Judgement
from audit.probe import circumstances
from audit.probe.guess.reading import documented_axes, read
from audit.results import Outcome

from .test_guessed_judgements import Guesses

SOURCE = '''
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


class Stacked(nn.Module):
    """Causal. The table holds a cosine and a sine for each pair of features."""

    def __init__(self, dim, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.wq, self.wk, self.wv = (nn.Linear(dim, dim) for _ in range(3))

    def turned(self, x, freqs_cis):
        pairs = x.unflatten(-1, (-1, 2))
        table = freqs_cis.view(1, pairs.shape[1], 1, pairs.shape[3], 2)
        cos, sin = freqs_cis[..., 0].view(table.shape[:-1]), freqs_cis[..., 1].view(table.shape[:-1])
        one, other = pairs.unbind(-1)
        return torch.stack([one * cos - other * sin, other * cos + one * sin], dim=-1).flatten(3)

    def forward(self, x, freqs_cis):
        b, n, _ = x.shape
        q, k, v = (layer(x).view(b, n, self.n_heads, -1) for layer in (self.wq, self.wk, self.wv))
        q, k = self.turned(q, freqs_cis), self.turned(k, freqs_cis)
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)


class Kept(nn.Module):
    """Causal. Keys and values stay in the module."""

    def __init__(self, dim, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.wq, self.wk, self.wv = (nn.Linear(dim, dim) for _ in range(3))
        self.cache_k, self.cache_v = torch.zeros(8, 1024, dim), torch.zeros(8, 1024, dim)

    def forward(self, x, start_pos):
        b, n, _ = x.shape
        cache_k, cache_v = self.cache_k.to(x), self.cache_v.to(x)
        cache_k[:b, start_pos : start_pos + n] = self.wk(x)
        cache_v[:b, start_pos : start_pos + n] = self.wv(x)
        self.cache_k, self.cache_v = cache_k, cache_v
        k, v = cache_k[:b, : start_pos + n], cache_v[:b, : start_pos + n]
        q, k, v = (each.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for each in (self.wq(x), k, v))
        hidden = torch.ones(n, start_pos + n, dtype=torch.bool, device=x.device).triu(start_pos + 1)
        scores = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(hidden, float("-inf"))
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


class Columns(nn.Module):
    """Each place of an image attends to those of its row and, in another layer, of its column."""

    def __init__(self, in_dim):
        super().__init__()
        self.q, self.k, self.v = (nn.Conv2d(in_dim, in_dim, 1) for _ in range(3))

    def along(self, q, k, v):
        return (q.mT @ k * q.shape[-2] ** -0.5).softmax(-1) @ v.mT

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.q(x), self.k(x), self.v(x)
        rows = self.along(*(t.permute(0, 2, 1, 3).reshape(b * h, c, w) for t in (q, k, v)))
        columns = self.along(*(t.permute(0, 3, 1, 2).reshape(b * w, c, h) for t in (q, k, v)))
        rows = rows.reshape(b, h, w, c).permute(0, 3, 1, 2)
        return rows + columns.reshape(b, w, h, c).permute(0, 3, 2, 1)


class TimeFirst(nn.Module):
    def __init__(self, n_head, d_model):
        super().__init__()
        self.n_head = n_head
        self.qkv = nn.Linear(d_model, 3 * d_model)

    def forward(self, w):
        qlen, bsz = w.size(0), w.size(1)
        q, k, v = (each.view(qlen, bsz, self.n_head, -1) for each in self.qkv(w).chunk(3, dim=-1))
        score = torch.einsum("ibnd,jbnd->ijbn", q, k) * q.shape[-1] ** -0.5
        future = torch.triu(w.new_ones(qlen, qlen), diagonal=1).bool()
        prob = torch.softmax(score.masked_fill(future[:, :, None, None], -1e9), dim=1)
        return torch.einsum("ijbn,jbnd->ibnd", prob, v).flatten(2)


class Squared(nn.Module):
    """Causal."""

    def __init__(self, dim):
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, x):
        seq_len = x.shape[-2]
        sim = self.to_q(x) @ self.to_k(x).mT
        weights = F.relu(sim / seq_len) ** 2
        return weights.tril() @ self.to_v(x)


@dataclass
class Args:
    dim: int = 512
    n_head: int = 8
    n_local_heads: int = -1

    def __post_init__(self):
        self.n_local_heads = self.n_head if self.n_local_heads == -1 else self.n_local_heads


class Grouped(nn.Module):
    def __init__(self, config: Args):
        super().__init__()
        self.n_head, self.groups, self.d = config.n_head, config.n_local_heads, config.dim // config.n_head
        self.wq, self.wo = nn.Linear(config.dim, config.dim), nn.Linear(config.dim, config.dim)
        self.wkv = nn.Linear(config.dim, 2 * self.groups * self.d)

    def forward(self, x):
        q, kv = self.wq(x).unflatten(-1, (self.n_head, -1)), self.wkv(x).unflatten(-1, (2, self.groups, -1))
        q, k, v = (each.transpose(1, 2) for each in (q, *kv.unbind(2)))
        k = k.repeat_interleave(self.n_head // self.groups, dim=1)
        v = v.repeat_interleave(self.n_head // self.groups, dim=1)
        return self.wo(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Sides(nn.Module):
    """A key of its own for each row and each column."""

    def __init__(self, n_dims, width=14, height=14):
        super().__init__()
        self.q, self.v = nn.Conv2d(n_dims, n_dims, 1), nn.Conv2d(n_dims, n_dims, 1)
        self.rel_h = nn.Parameter(torch.randn(1, n_dims, 1, height))
        self.rel_w = nn.Parameter(torch.randn(1, n_dims, width, 1))

    def forward(self, x):
        b, c, w, h = x.shape
        q, v = self.q(x).flatten(2), self.v(x).flatten(2)
        energy = q.mT @ (self.rel_h + self.rel_w).flatten(2)
        return (v @ energy.softmax(-1).mT).view(b, c, w, h)
'''
Judge = Callable[..., Judgement]


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    """Judges one property of a class after one edit."""

    def judge(name: str, check: str, before: str = "", after: str = "") -> Judgement:
        assert not before or SOURCE.count(before) == 1
        guesses = Guesses(tmp_path, SOURCE.replace(before, after) if before else SOURCE)
        try:
            (found,) = guesses.judge(name, "built", check)[check]
        finally:
            guesses.close()
        return found

    return judge


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("Stacked", "shifted_positions"),
        ("Kept", "gradients"),
        ("Columns", "batch_rows"),
        ("TimeFirst", "batch_rows"),
        ("TimeFirst", "depends"),
        ("Grouped", "head_grouping"),
        ("Sides", "batch_rows"),
    ],
)
def test_what_is_right_passes(judged: Judge, name: str, check: str) -> None:
    assert judged(name, check).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("name", "check", "before", "after"),
    [
        ("Stacked", "shifted_positions", ", self.turned(k, freqs_cis)", ", k"),
        ("Kept", "gradients", "= self.wk(x)", "= self.wk(x).detach()"),
        ("Columns", "batch_rows", "t.permute(0, 3, 1, 2).reshape(b * w", "t.permute(3, 0, 1, 2).reshape(b * w"),
        ("TimeFirst", "batch_rows", "-1e9), dim=1)", "-1e9), dim=2)"),
        ("Grouped", "head_grouping", "v.repeat_interleave(self.n_head // self.groups, dim=1)", "v.repeat(1, 2, 1, 1)"),
        ("Sides", "batch_rows", "energy = q.mT", "energy = q[:1].mT"),
    ],
)  # fmt: skip
def test_one_edit_is_found(judged: Judge, name: str, check: str, before: str, after: str) -> None:
    assert judged(name, check, before, after).outcome is Outcome.FAILED


def test_a_table_of_another_form_is_not_guessed_at(judged: Judge) -> None:
    with pytest.raises(AssertionError, match="cannot be called"):
        judged("Stacked", "shifted_positions", "pairs.shape[3], 2)", "pairs.shape[3], 3)")


def test_a_width_without_a_height_is_one_of_features(judged: Judge) -> None:
    with pytest.raises(AssertionError, match=r"Sides\(n_dims=48, width=48\) cannot be called"):
        judged("Sides", "batch_rows", "width=14, height=14):", "width=14, tall=14):\n        height = tall")


def test_tensors_that_a_module_keeps_are_cut_from_the_graph_of_the_last_call() -> None:
    module = nn.Linear(2, 2)
    module.kept = module(torch.ones(1, 2))
    module.register_buffer("buffer", module.kept * 2)
    own = module.weight
    circumstances.cut_from_graphs(module)
    assert (module.kept.grad_fn, module.buffer.grad_fn) == (None, None)
    assert module.weight is own
    assert module.weight.requires_grad


@pytest.mark.parametrize(
    ("layout", "lengths", "expected"),
    [("BCHW", [11, 5, 12], LENGTH + 1), ("BCHW", [11, 5], LENGTH), ("BLC", [11, 5, 12], LENGTH)],
)
def test_an_image_has_rows_and_columns_where_it_can(layout: str, lengths: list[int], expected: int) -> None:
    form = {"layout": layout, "lengths": lengths, "arguments": {"x": "hidden"}}
    subject = AttentionSubject(
        name="a",
        source={"kind": "found", "choices": {"form": form}},
        contract=Contract(),
        declared="m:A",
        is_function=False,
        decodes=False,
        is_declared=False,
    )
    assert plane_length(subject) == expected


@pytest.mark.parametrize(
    ("documentation", "axes"),
    [
        ("w: [qlen x bsz x d_model]", ("qlen", "bsz", "d_model")),
        ("w: (batch, length, dim)", ("batch", "length", "dim")),
        ("w: as wide as x", None),
    ],
)
def test_axes_may_be_written_as_a_product(documentation: str, axes: tuple[str, ...] | None) -> None:
    def attend(w: torch.Tensor) -> None: ...

    attend.__doc__ = documentation
    assert documented_axes(read(attend), "w") == axes


def test_weights_of_a_softmax_have_no_part_of_the_length(judged: Judge) -> None:
    edit = ("F.relu(sim / seq_len) ** 2", "(sim / seq_len).tril().softmax(-1)")
    assert judged("Squared", "prefix", *edit).outcome is Outcome.FAILED


def test_weights_without_softmax_may_be_divided_by_the_length(judged: Judge) -> None:
    found = judged("Squared", "prefix")
    assert found.outcome is Outcome.NOT_APPLICABLE
    assert "'/ seq_len'" in str(found.reason)


def test_weights_that_are_not_divided_agree(judged: Judge) -> None:
    assert judged("Squared", "prefix", "sim / seq_len", "sim").outcome is Outcome.PASSED
