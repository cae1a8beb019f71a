"""What modules promise beside their numbers: positions that go on, groups of heads, documents, windows, masks by any
name. Each right one fails nowhere, and one edit of it fails the named property.
"""

from collections.abc import Iterator

import pytest

from audit.results import Outcome

from .judged_edits import Edit, Right, reasons, written
from .judged_sources import JudgedSources

HEAD = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n\n"

ROTARY = '''def turned(x, at, base=10000.0):
    half = x.size(-1) // 2
    angles = at.float().unsqueeze(-1) / base ** (torch.arange(half) / half)  # (B or 1, L, D / 2)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    a, b = x.split(half, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def repeat_kv(x, times):
    return x.repeat_interleave(times, dim=1)


class RotaryDecoder(nn.Module):
    """Causal grouped-query self-attention with rotary positions."""

    def __init__(self, hidden_size, num_heads, num_kv_heads):
        super().__init__()
        self.dim, self.times = hidden_size // num_heads, num_heads // num_kv_heads
        self.wq = nn.Linear(hidden_size, hidden_size, bias=False)
        self.wkv = nn.Linear(hidden_size, 2 * num_kv_heads * self.dim, bias=False)
        self.wo = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, positions=None, past_key_value=None):
        """x: (batch, length, hidden)"""
        q = self.wq(x).unflatten(-1, (-1, self.dim)).transpose(1, 2)
        k, v = (each.unflatten(-1, (-1, self.dim)).transpose(1, 2) for each in self.wkv(x).chunk(2, dim=-1))
        begin = 0 if past_key_value is None else past_key_value[0].size(2)
        if positions is None:
            positions = torch.arange(begin, begin + x.size(1)).unsqueeze(0)
        q, k = turned(q, positions), turned(k, positions)
        if past_key_value is not None:
            k, v = torch.cat([past_key_value[0], k], 2), torch.cat([past_key_value[1], v], 2)
        cache = k, v
        k, v = repeat_kv(k, self.times), repeat_kv(v, self.times)
        seen = torch.ones(q.size(2), k.size(2), dtype=torch.bool).tril(begin)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.wo(y.transpose(1, 2).flatten(2)), cache
'''
SINKS = """class SinkAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.proj = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.sink = nn.Parameter(torch.zeros(num_heads, 1, 1))

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        logits = q @ k.mT / q.size(-1) ** 0.5
        empty = self.sink.expand(logits.size(0), -1, logits.size(2), 1)
        top = torch.maximum(logits.amax(-1, keepdim=True), empty)
        weights = torch.exp(logits - top)
        weights = weights / (weights.sum(-1, keepdim=True) + torch.exp(empty - top))
        return self.proj((weights @ v).transpose(1, 2).flatten(2))
"""
DOCUMENTS = '''class PackedAttention(nn.Module):
    """Causal self-attention over several documents in one row."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.out = nn.Linear(embed_dim, 3 * embed_dim), nn.Linear(embed_dim, embed_dim)

    def forward(self, hidden_states, doc_ids=None):
        n = hidden_states.size(1)
        q, k, v = self.qkv(hidden_states).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        hidden = torch.ones(n, n, dtype=torch.bool).triu(1).expand(len(q), 1, n, n)
        if doc_ids is not None:
            other = doc_ids.unsqueeze(2) != doc_ids.unsqueeze(1)
            hidden = hidden | other.unsqueeze(1)
        logits = (q @ k.mT / q.size(-1) ** 0.5).masked_fill(hidden, -torch.inf)
        return self.out((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))
'''
WINDOWS = '''class ShiftedWindowAttention(nn.Module):
    """Attention inside the windows of an image (SW-MSA).

    Args:
        dim: number of channels
        num_heads: number of heads
    """

    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        """
        x: (B*num_windows, N, C)
        mask: (num_windows, N, N), 0 where a pair attends and -inf where not
        """
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        logits = q @ k.mT * q.size(-1) ** -0.5
        if mask is not None:
            of_image = logits.unflatten(0, (-1, len(mask)))
            logits = (of_image + mask[:, None]).flatten(0, 1)
        return self.proj((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))
'''
VISIBLE = '''class GraphAttention(nn.Module):
    """Attention among the nodes of a graph.

    Shapes: x (graphs, nodes, dim); visible, bool (graphs, nodes, nodes), True where the row may see the column.
    """

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x, visible=None):
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).permute(0, 2, 1, 3) for f in (self.q, self.k, self.v))
        q, k, v = (each.flatten(0, 1) for each in (q, k, v))
        logits = torch.bmm(q, k.mT).div(q.size(-1) ** 0.5)
        if visible is not None:
            of_heads = torch.repeat_interleave(visible, self.heads, 0)
            logits = torch.where(of_heads, logits, -torch.inf)
        y = torch.bmm(logits.softmax(2), v).unflatten(0, (-1, self.heads))
        return self.o(y.permute(0, 2, 1, 3).flatten(2))
'''
JOINED = """class Attend(nn.Module):
    def __init__(self, dim, heads, causal=False):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        logits = q @ k.mT * q.size(-1) ** -0.5
        if self.causal:
            logits = logits.masked_fill(torch.ones(logits.shape[-2:]).triu(1) > 0, -1e9)
        if mask is not None:
            logits = logits.masked_fill(~mask[:, None, None], -1e9)
        return self.out((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))
"""
PADDED = """class EncoderLayer(nn.Module):
    def __init__(self, d_model, nhead):
        super().__init__()
        self.attend = nn.MultiheadAttention(d_model, nhead, batch_first=True)

    def forward(self, src, src_key_padding_mask=None):
        drop = src_key_padding_mask
        return self.attend(src, src, src, key_padding_mask=drop)[0]
"""
UNSCALED = """class T5Attention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.n = num_heads
        self.q, self.k, self.v, self.o = (nn.Linear(d_model, d_model, bias=False) for _ in range(4))

    def forward(self, hidden_states):
        q, k, v = (f(hidden_states).unflatten(-1, (self.n, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = torch.matmul(q, k.mT)
        return self.o((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
"""
DEAD = """        top = torch.maximum(logits.amax(-1, keepdim=True), empty)
        weights = torch.exp(logits - top)
        weights = weights / (weights.sum(-1, keepdim=True) + torch.exp(empty - top))
"""
OF_IMAGES = """            of_image = logits.unflatten(0, (-1, len(mask)))
            logits = (of_image + mask[:, None]).flatten(0, 1)
"""
OF_WINDOWS = OF_IMAGES.replace("(-1, len(mask))", "(len(mask), -1)").replace("mask[:, None]", "mask[:, None, None]")
OPPOSITE = "drop = None if src_key_padding_mask is None else ~src_key_padding_mask"
SLIDING = '''class Sliding(nn.Module):
    """Each token sees `window` tokens, itself included."""

    def __init__(self, dim, heads=4, window=4):
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in self.qkv(x).chunk(3, dim=-1))
        far = torch.arange(x.shape[1])[:, None] - torch.arange(x.shape[1])
        keep = (far >= 0) & (far < self.window)
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=keep).transpose(1, 2).flatten(2))
'''

DERIVED = '''class Plain(nn.Module):
    def __init__(self, dim, heads=4):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def projected(self, x):
        return (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in self.qkv(x).chunk(3, dim=-1))

    def forward(self, x):
        q, k, v = self.projected(x)
        return self.out(((q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v).transpose(1, 2).flatten(2))


class Unnormalised(Plain):
    """Sums over all keys that nothing divides, in the place of the softmax of its base."""

    def forward(self, x):
        q, k, v = self.projected(x)
        return self.out((q @ (k.mT @ v)).transpose(1, 2).flatten(2))
'''

RIGHTS = {
    "rotary": Right(
        ROTARY,
        "RotaryDecoder",
        {
            "restart": Edit("torch.arange(begin, begin + x.size(1))", "torch.arange(x.size(1))", ("kv_cache",)),
            "tiled": Edit("x.repeat_interleave(times, dim=1)", "torch.cat([x] * times, 1)", ("head_grouping",)),
        },
    ),
    "sinks": Right(
        SINKS, "SinkAttention", {"dead": Edit(DEAD, "        weights = logits.softmax(-1)\n", ("gradients",))}
    ),
    "documents": Right(
        DOCUMENTS,
        "PackedAttention",
        {
            "earlier": Edit("!= doc_ids", "< doc_ids", ("batch_rows",)),
            "replaces": Edit("hidden | other.unsqueeze(1)", "other.unsqueeze(1)", ("causality",)),
        },
    ),
    "windows": Right(WINDOWS, "ShiftedWindowAttention", {"order": Edit(OF_IMAGES, OF_WINDOWS, ("mask",))}),
    "visible": Right(
        VISIBLE,
        "GraphAttention",
        {
            "heads": Edit(
                "torch.repeat_interleave(visible, self.heads, 0)", "visible.repeat(self.heads, 1, 1)", ("batch_rows",)
            ),
            "axes": Edit("torch.where(of_heads,", "torch.where(of_heads.mT,", ("mask",)),
            "inverted": Edit("torch.where(of_heads,", "torch.where(~of_heads,", ("mask",)),
        },
    ),
    "joined": Right(
        JOINED, "Attend", {"either": Edit("if self.causal:", "if self.causal and mask is None:", ("noop_mask",))}
    ),
    "padded": Right(PADDED, "EncoderLayer", {"inverted": Edit("drop = src_key_padding_mask", OPPOSITE, ("mask",))}),
    "unscaled": Right(
        UNSCALED, "T5Attention", {"scaled": Edit("(q, k.mT)", "(q, k.mT) * q.size(-1) ** -0.5", ("scale",))}
    ),
    "sliding": Right(SLIDING, "Sliding", {"wide": Edit("far < self.window", "far <= self.window", ("window_width",))}),
    "both_sides": Right(SLIDING.replace("(far >= 0) & (far < self.window)", "far.abs() <= self.window"), "Sliding"),
    "derived": Right(DERIVED, "Unnormalised"),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedSources]:
    made = written(tmp_path_factory.mktemp("promises"), HEAD, RIGHTS)
    yield made
    made.close()


@pytest.mark.parametrize("name", RIGHTS)
def test_what_is_right_fails_nowhere(sources: JudgedSources, name: str) -> None:
    found = sources.judge(name)
    assert reasons(found, Outcome.FAILED) == {}
    assert reasons(found, Outcome.ERROR) == {}
    assert RIGHTS[name].checks <= reasons(found, Outcome.PASSED).keys(), found


@pytest.mark.parametrize(("name", "edit"), [(name, edit) for name, right in RIGHTS.items() for edit in right.edits])
def test_one_edit_is_found(sources: JudgedSources, name: str, edit: str) -> None:
    checks = RIGHTS[name].edits[edit].checks
    found = sources.judge(f"{name}_{edit}", *checks)
    assert set(checks) & reasons(found, Outcome.FAILED).keys(), found
