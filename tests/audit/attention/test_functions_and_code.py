"""What plain functions promise, and what the body of a call promises by itself: each right one fails nowhere, and one
edit of it fails the named property.
"""

import ast
from collections.abc import Iterator

import pytest

from audit.probe.guess.ordering import hides_later
from audit.probe.guess.reading import Source
from audit.results import Outcome

from .judged_edits import Edit, Right, reasons, written
from .judged_sources import JudgedSources

_LARGE = ("large_logits",)

HEAD = "import math\nimport torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n\n"

ALWAYS = '''def causal_attention(query, key, value):
    """query (B, H, L, D), key and value (B, H, L, D)"""
    later = torch.ones(query.size(2), key.size(2), device=query.device).triu(diagonal=1).bool()
    logits = torch.einsum("bhqd,bhkd->bhqk", query, key) / math.sqrt(query.size(3))
    weights = torch.softmax(logits.masked_fill(later, -torch.inf), dim=3)
    return torch.einsum("bhqk,bhkd->bhqd", weights, value)
'''
DECODING = '''def attend_to_past(q, k, v):
    """Autoregressive attention; the last query sees all keys.

    q: (batch, heads, new, dim); k, v: (batch, heads, all, dim)
    """
    new, past = q.shape[-2], k.shape[-2] - q.shape[-2]
    seen = torch.ones(new, past + new, dtype=torch.bool).tril(past)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
'''
RUNNING_SUMS = '''def causal_kernel_attention(q, k, v):
    """q, k, v: (B, H, L, D)"""
    q, k = 1 + F.elu(q), 1 + F.elu(k)
    pairs = k.unsqueeze(-1) * v.unsqueeze(-2)  # (B, H, L, D, D)
    above, below = pairs.cumsum(2), k.cumsum(2)
    return (q.unsqueeze(-2) @ above).squeeze(-2) / (q * below).sum(-1, keepdim=True)
'''
BAND = '''def banded_attention(q, k, v, window_size=32):
    """Causal attention in a sliding window: query i sees the keys j with 0 <= i - j < window_size.

    q, k, v: (B, H, L, D)
    """
    behind = torch.arange(q.shape[2])[:, None] - torch.arange(k.shape[2])
    hidden = (behind < 0) | (behind >= window_size)
    logits = (q @ k.mT) * q.shape[-1] ** -0.5
    return logits.masked_fill(hidden, float("-inf")).softmax(-1) @ v
'''
TILES = '''def tiled_attention(q, k, v, tile=64):
    """Computes exact softmax attention tile by tile.

    q, k, v: (B, H, L, D)
    """
    top = q.new_full(q.shape[:-1] + (1,), -torch.inf)
    total, out = torch.zeros_like(top), torch.zeros_like(q)
    for at in range(0, k.shape[2], tile):
        part = slice(at, at + tile)
        logits = q @ k[:, :, part].mT / q.shape[-1] ** 0.5
        high = torch.maximum(top, logits.max(-1, keepdim=True).values)
        grown, shrink = torch.exp(logits - high), torch.exp(top - high)
        total = total * shrink + grown.sum(-1, keepdim=True)
        out, top = out * shrink + grown @ v[:, :, part], high
    return out / total
'''
PARTS = """class OneHead(nn.Module):
    def __init__(self, width, size):
        super().__init__()
        self.k, self.q, self.v = (nn.Linear(width, size) for _ in range(3))
        self.register_buffer("past", torch.ones(64, 64).tril())

    def forward(self, x):
        n = x.shape[1]
        affinity = self.q(x) @ self.k(x).mT / math.sqrt(self.q.out_features)
        affinity = affinity.masked_fill(self.past[:n, :n] == 0, float("-inf"))
        return affinity.softmax(2) @ self.v(x)


class SomeHeads(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.parts = nn.ModuleList(OneHead(d_model, d_model // num_heads) for _ in range(num_heads))
        self.join = nn.Linear(d_model, d_model)

    def forward(self, x):
        return self.join(torch.cat([part(x) for part in self.parts], -1))
"""
ADDED = """class Lower(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.o = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.mT * q.shape[-1] ** -0.5
        hidden = torch.full(scores.shape[-2:], float("-inf")).triu(1)
        weights = (scores + hidden).softmax(-1)
        return self.o((weights @ v).transpose(1, 2).flatten(2))
"""
RIGHTS = {
    "always": Right(
        ALWAYS,
        "causal_attention",
        {
            "diagonal": Edit("diagonal=1", "diagonal=2", ("causality",)),
            "tiny": Edit("-torch.inf", "1e-9", ("causality",)),
            "afterwards": Edit(
                "torch.softmax(logits.masked_fill(later, -torch.inf), dim=3)",
                "torch.softmax(logits, dim=3).masked_fill(later, 0.0)",
                ("causality",),
            ),
            "scale": Edit("math.sqrt(query.size(3))", "math.sqrt(query.size(1))", ("oracle",)),
        },
    ),
    "decoding": Right(DECODING, "attend_to_past", {"corner": Edit("tril(past)", "tril()", ("oracle",))}),
    "running_sums": Right(
        RUNNING_SUMS,
        "causal_kernel_attention",
        {"whole": Edit("pairs.cumsum(2)", "pairs.sum(2, True).expand_as(pairs)", ("causality",))},
    ),
    "band": Right(
        BAND,
        "banded_attention",
        {
            "wider": Edit(">= window_size", "> window_size", ("window_width",)),
            "blocks": Edit(
                "(behind >= window_size)",
                "(behind > torch.arange(len(behind))[:, None] % window_size)",
                ("window_width",),
            ),
            "short": Edit("(behind >= window_size)", "((behind >= window_size) & (len(behind) > 9))", ("prefix",)),
        },
    ),
    "tiles": Right(
        TILES,
        "tiled_attention",
        {
            "zero": Edit("q.new_full(q.shape[:-1] + (1,), -torch.inf)", "q.new_zeros(q.shape[:-1] + (1,))", _LARGE),
            "minus_one": Edit(
                "q.new_full(q.shape[:-1] + (1,), -torch.inf)", "-q.new_ones(q.shape[:-1] + (1,))", _LARGE
            ),
            "minus_hundred": Edit(
                "q.new_full(q.shape[:-1] + (1,), -torch.inf)", "q.new_full(q.shape[:-1] + (1,), -100.0)", _LARGE
            ),
            "last": Edit("slice(at, at + tile)", "slice(at, min(at + tile, k.shape[2] - 1))", ("every_key",)),
            "sum": Edit("total * shrink + grown", "total + grown", ("row_sums",)),
        },
    ),
    "parts": Right(
        PARTS,
        "SomeHeads",
        {
            "tiny": Edit('float("-inf")', "1e-9", ("causality",)),
            "diagonal": Edit(".tril()", ".tril(1)", ("causality",)),
        },
    ),
    "added": Right(
        ADDED,
        "Lower",
        {
            "diagonal": Edit("triu(1)", "triu(2)", ("causality",)),
            "afterwards": Edit(
                "weights = (scores + hidden).softmax(-1)",
                "weights = scores.softmax(-1) * torch.ones_like(hidden).tril()",
                ("causality",),
            ),
        },
    ),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedSources]:
    made = written(tmp_path_factory.mktemp("functions"), HEAD, RIGHTS)
    yield made
    made.close()


@pytest.mark.parametrize("name", RIGHTS)
def test_what_is_right_fails_nowhere(sources: JudgedSources, name: str) -> None:
    found = sources.judge(name)
    assert reasons(found, Outcome.FAILED) == {}
    assert reasons(found, Outcome.ERROR) == {}
    assert RIGHTS[name].checks <= reasons(found, Outcome.PASSED).keys()


@pytest.mark.parametrize(("name", "edit"), [(name, edit) for name, right in RIGHTS.items() for edit in right.edits])
def test_one_edit_is_found(sources: JudgedSources, name: str, edit: str) -> None:
    checks = RIGHTS[name].edits[edit].checks
    found = sources.judge(f"{name}_{edit}", *checks)
    assert set(checks) & reasons(found, Outcome.FAILED).keys(), found


def source(body: str) -> Source:
    """Return the source of a class whose `__init__` and `forward` have this body, split at a line of dashes."""
    init, _, forward = body.rpartition("---\n")
    text = "class A(Base):\n    def __init__(self, n):\n" + indented(init or "pass\n")
    text += "    def forward(self, x, scores, mask=None):\n" + indented(forward)
    tree = ast.parse(text)
    function = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "forward")
    return Source(text, "", function, (tree,))


def indented(text: str) -> str:
    return "".join(f"        {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    "body",
    [
        "return scores.masked_fill(torch.ones(n, n).tril() == 0, -1e9)",
        "m = torch.tril(torch.ones(n, n)).bool()\nreturn scores.masked_fill(~m, -1e9)",
        "m = torch.ones(n, n).triu(1)\nm = m.masked_fill(m == 1, -1e9)\nreturn (scores + m).softmax(-1)",
        "m = 1 - torch.ones(n, n).tril()\nscores += 0\nreturn (scores + m * -1e9).softmax(-1)",
        "m = torch.ones(n, n).tril().bool()\nreturn F.scaled_dot_product_attention(q, k, v, attn_mask=m[None])",
        "return torch.where(torch.ones(n, n).tril() > 0, scores, -torch.inf)",
        "self.register_buffer('m', torch.ones(n, n).tril().view(1, 1, n, n))\n---\n"
        "return scores.masked_fill(self.m[:, :, :5, :5] == 0, 0.0)",
        "return (scores.softmax(-1) * torch.ones(n, n).tril()) @ v",
        "m = torch.full((n, n), -torch.inf).triu(1)\nreturn F.scaled_dot_product_attention(q, k, v, attn_mask=m)",
        "self.m = torch.full((n, n), -torch.inf).triu(1)\n---\nreturn (scores + self.m[:5, :5]).softmax(-1)",
    ],
)
def test_a_triangle_in_the_body_hides_later_keys(body: str) -> None:
    assert hides_later(source(body)) is not None


@pytest.mark.parametrize(
    "body",
    [
        "return scores",
        "if self.causal:\n    scores = scores.masked_fill(torch.ones(n, n).tril() == 0, -1e9)\nreturn scores",
        "m = torch.ones(n, n).tril() if self.causal else None\nreturn scores.masked_fill(m == 0, -1e9)",
        "return scores.masked_fill(torch.ones(n, n).tril(), -1e9)",  # hides earlier keys
        "return scores.masked_fill(torch.ones(n, n).triu(1) == 0, -1e9)",
        "m = torch.ones(n, n).tril().flip(0)\nreturn scores.masked_fill(m == 0, -1e9)",
        "m = torch.ones(n, n).tril() == 0\na = scores.masked_fill(m, -1e9)\nreturn a, scores.masked_fill(~m, -1e9)",
        "m = torch.ones(n, n).tril() | mask\nreturn scores.masked_fill(~m, -1e9)",  # some later keys are seen
        "m = torch.full((n, n), -torch.inf).tril(-1)\nreturn (scores + m).softmax(-1)",
        "pairs = torch.ones(n, n).triu(1)\nreturn x * pairs.sum()",
        "m = torch.ones(n, n).tril()\nm = mask\nreturn scores.masked_fill(m == 0, -1e9)",
    ],
)
def test_other_triangles_say_nothing(body: str) -> None:
    assert hides_later(source(body)) is None
