"""What documentation, arguments and code claim, and above all what they do not."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.probe.guess import prose, structure
from audit.probe.guess.claims import documented_shapes
from audit.probe.guess.find import find
from audit.probe.guess.reading import Source, _parsed, documented_axes, unfolded
from audit.probe.guess.roles import role_of

HEAD = "import math\nimport torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n\n"
ATTENTION = '''class {name}(nn.Module):
    """{doc}"""

    def __init__(self, dim: int, num_heads: int{arguments}):
        super().__init__()
        self.num_heads = num_heads
        {init}
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x{call}):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.mT {scale}
        {mask}
        return self.proj((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
'''


@pytest.fixture
def claims_of(tmp_path: Path) -> Iterator[Any]:
    def found(name: str = "Attention", **parts: str) -> tuple[dict[str, Any], dict[str, str]]:
        blank = {"doc": "Attend.", "arguments": "", "init": "pass", "call": "", "mask": "pass"}
        parts = blank | {"scale": "/ math.sqrt(q.shape[-1])"} | parts
        path = tmp_path / f"found_{len(list(tmp_path.iterdir()))}.py"
        path.write_text(HEAD + ATTENTION.format(name=name, **parts))
        reply: Any = find(str(path), None, name, 0)
        assert reply["problem"] is None
        return reply["subjects"][0]["contract"], reply["subjects"][0]["claims"]

    before = set(sys.modules)
    yield found
    for name in set(sys.modules) - before:
        if name.startswith("found_"):
            del sys.modules[name]


@pytest.mark.parametrize(
    "doc",
    [
        "Causal self-attention.",
        "Each token attends to earlier tokens: causal multi-head attention.",
        "Attention of one layer. Causal.",
    ],
)
def test_a_sentence_without_condition_makes_a_class_causal(claims_of: Any, doc: str) -> None:
    contract, claims = claims_of(doc=doc)
    assert contract["is_causal"] is True
    assert "line 8" in claims["is_causal"]


@pytest.mark.parametrize(
    "doc",
    [
        "Attend.",
        "Causal self-attention if a flag says so.",
        "Can be used as causal self-attention.",
        "Supports causal attention and bidirectional attention.",
        "Unlike causal self-attention, every token sees all.",
        "This is not causal attention.",
        "Non-causal attention.",
        "Encoder attention. The decoder has causal attention.",
    ],
)
def test_other_sentences_make_no_claim_of_causality(claims_of: Any, doc: str) -> None:
    contract, claims = claims_of(doc=doc)
    assert contract.get("is_causal") is not True
    assert "is_causal" not in claims


def test_a_name_says_causal_unless_a_mask_may_have_to_be_passed(claims_of: Any) -> None:
    assert claims_of("CausalSelfAttention")[0]["is_causal"] is True
    adds = "scores = scores if attention_mask is None else scores + attention_mask"
    contract, claims = claims_of("CausalSelfAttention", call=", attention_mask=None", mask=adds)
    assert "is_causal" not in contract
    assert "is_causal" not in claims


def test_an_argument_that_is_off_makes_no_claim(claims_of: Any) -> None:
    kept = {"arguments": ", causal: bool = False", "init": "self.causal = causal"}
    kept["mask"] = "scores = scores + (torch.ones(scores.shape[-2:]).triu(1) * -1e9 if self.causal else 0)"
    contract, _ = claims_of("CausalAttention", doc="Causal self-attention.", **kept)
    assert contract.get("is_causal") is not True


def test_a_scale_that_is_set_and_never_read_is_told(claims_of: Any) -> None:
    init = "self.scale = (dim // num_heads) ** -0.5"
    assert claims_of(init=init, scale="")[1]["scale"] == "self.scale is set and never read"
    assert "scale" not in claims_of(init=init, scale="* self.scale", doc="No scale.")[1]


@pytest.mark.parametrize("doc", ["The logits are unscaled, as in T5.", "No scaling: the initial weights hold it."])
def test_what_is_said_to_go_without_a_scale_may(claims_of: Any, doc: str) -> None:
    assert "scale" not in claims_of(doc=doc, scale="")[1]


def test_nothing_in_the_code_gives_tokens_positions(claims_of: Any) -> None:
    assert claims_of()[0]["positions"] == "none"


@pytest.mark.parametrize(
    "parts",
    [
        {"init": "self.pos_embed = nn.Parameter(torch.zeros(1, 64, dim))"},
        {"init": "self.table = nn.Embedding(9, num_heads)"},
        {"init": "self.conv = nn.Conv1d(dim, dim, 3)"},
        {"arguments": ", seq_len: int = 11"},
        {"arguments": ", num_frames: int = 1"},
        {"mask": "scores = scores - torch.arange(x.shape[1])"},
        {"mask": "scores = scores.tril()"},
        {"call": ", rope=None"},
    ],
)
def test_whatever_may_give_tokens_positions_takes_the_claim_back(claims_of: Any, parts: dict[str, str]) -> None:
    assert "positions" not in claims_of(**parts)[0]


def test_weights_sum_to_one_after_a_softmax(claims_of: Any) -> None:
    assert claims_of()[0]["rows_sum_to_one"] is True


@pytest.mark.parametrize(
    "parts",
    [
        {"init": "self.sinks = nn.Parameter(torch.zeros(num_heads))"},
        {"init": "self.null_kv = nn.Parameter(torch.zeros(2, dim))"},
        {"init": "self.conv = nn.Conv1d(dim, dim, 3)"},
        {"mask": "scores = scores + torch.arange(x.shape[1])"},
    ],
)
def test_what_may_take_weight_away_takes_the_claim_back(claims_of: Any, parts: dict[str, str]) -> None:
    assert "rows_sum_to_one" not in claims_of(**parts)[0]


def test_a_cap_is_read_from_its_argument(claims_of: Any) -> None:
    kept = {"arguments": ", logit_softcap: float = 5.0", "init": "self.cap = logit_softcap"}
    contract, claims = claims_of(**kept, mask="scores = self.cap * torch.tanh(scores / self.cap)")
    assert contract["soft_cap"] == 5.0
    assert "cap unread" not in claims
    assert claims_of(**kept)[1]["cap unread"] == "self.logit_softcap is set and never read"
    assert "soft_cap" not in claims_of(arguments=", capacity: float = 5.0")[0]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("window: how many keys a query sees, its own included.", True),
        ("Each token sees itself and the `window` - 1 tokens before it.", True),
        ("Each token sees itself and the `window` tokens before it.", False),
        ("window: number of keys besides the query's, excluding itself.", False),
        ("window: width of the window.", None),
        ("window: keys, itself included, or excluding itself.", None),
        ("Query i sees the keys j with i - window < j <= i.", True),
        ("Keys with i - w <= j <= i are seen.", False),
        ("A key j is seen where 0 <= i - j < window_size.", True),
        ("A key j is seen where i - j <= window.", False),
        ("The last n - window < m tokens are left out.", None),
    ],
)
def test_a_window_counts_the_query_as_its_documentation_says(text: str, counts: bool | None) -> None:
    assert prose.window_counts_query(text) is counts


@pytest.mark.parametrize(
    ("axes", "shapes"),
    [
        ("(batch, seq)", ("BL",)),
        ("(batch, 1, 1, seq_len)", ("B11L",)),
        ("(batch, 1, tgt_len, src_len)", ("B1LL",)),
        ("(batch, num_heads, seq, seq)", ("BHLL",)),
        ("(seq, batch)", ()),
        ("(batch, key_len, query_len)", ()),
        ("of any shape", ()),
    ],
)
def test_the_documented_axes_of_a_mask_say_which_shapes_it_may_have(axes: str, shapes: tuple[str, ...]) -> None:
    assert documented_shapes(Source("", f"mask: {axes}, True to keep", None), "mask") == shapes


def source(text: str) -> Source:
    tree = _parsed(text)
    assert tree is not None
    return Source(text, "", None, (tree,))


@pytest.mark.parametrize(
    ("body", "unread"),
    [
        ("self.window = window", True),
        ("self.heads, self.window = heads, window", True),
        ("self.width = window", True),
        ("self.width = window; use(self.width)", False),
        ("self.window = window; use(self.window)", False),
        ("self.window = window; use(window)", False),
        ("super().__init__(window=window)", False),
        ("self.window = window; use(getattr(self, name))", False),
        ("pass", False),
    ],
)
def test_an_attribute_is_read_or_not(body: str, unread: bool) -> None:
    assert (
        structure.is_never_read(source(f"def __init__(self, heads, window, name):\n    {body}\n"), "window") is unread
    )


def test_what_follows_a_semicolon_is_told_of_the_next_argument() -> None:
    text = """Attend.

    x: (B, N, C); mask: bool (B, N, N), True to attend; False to hide
    """
    lines = [line.strip() for line in unfolded(text).splitlines()]
    assert lines[2:4] == ["x: (B, N, C)", "mask: bool (B, N, N), True to attend; False to hide"]
    assert documented_axes(Source("", unfolded(text), None), "mask") == ("B", "N", "N")


@pytest.mark.parametrize("name", ["allowed", "visible", "is_visible", "may_attend", "key_padding_mask"])
def test_a_mask_has_other_names(name: str) -> None:
    assert role_of(name) == "mask"


@pytest.mark.parametrize("name", ["allowed_dtypes", "visibility_km", "invisible"])
def test_other_names_are_of_no_mask(name: str) -> None:
    assert role_of(name) is None


@pytest.mark.parametrize(
    ("text", "is_exact"),
    [
        ("Computes exact attention in tiles.", True),
        ("Gives the same result as full attention, with less memory.", True),
        ("Approximates exact attention.", False),
        ("Attention with exact positions.", False),
    ],
)
def test_what_says_that_a_function_is_exact(text: str, is_exact: bool) -> None:
    assert bool(prose.EXACT.search(text)) is is_exact
