from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.analysis import analyse
from audit.static.inventory import InventoryItem

Tree = Callable[[Mapping[str, str | bytes]], Path]

HEAD = "import torch\nfrom torch import nn, einsum\nimport torch.nn.functional as F\n"


def attention(root: Path) -> dict[str, InventoryItem]:
    return {item.qualname: item for item in analyse(root, root).inventory if item.kind == "attention"}


def mechanisms(root: Path) -> dict[str, object]:
    return {name: item.facts["mechanisms"] for name, item in attention(root).items()}


def body(*lines: str) -> str:
    return HEAD + "def f(self, q, k, v, w, mask=None):\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    "source",
    [
        body("return (q @ k.transpose(-2, -1)).softmax(-1) @ v"),
        body("a = torch.matmul(q, k.mT) / 8", "a = a + mask", "p = torch.softmax(a, -1)", "return torch.matmul(p, v)"),
        body(
            "a = torch.bmm(q, k)",
            "if mask is not None:",
            "    a = a.masked_fill(mask, -9)",
            "return F.softmax(a, -1).bmm(v)",
        ),
        body("a = torch.baddbmm(w, q, k)", "return torch.bmm(a.softmax(dim=-1).to(v.dtype), v)"),
        body("s = einsum('bid,bjd->bij', q, k)", "s -= s.amax(-1)", "return einsum('bij,bjd->bid', s.softmax(-1), v)"),
        body("a = F.softmax(q.matmul(k), dim=-1)", "a = F.dropout(a, 0.1)", "return a.view(2, 3).matmul(v)"),
        body("s = [x @ k for x in q]", "p = torch.cat(s).softmax(-1)", "return p @ v"),
        "from torch import bmm as times\n" + body("return times(times(q, k).softmax(-1), v)"),
        body("from torch import bmm as times", "return times(times(q, k).softmax(-1), v)"),
        body("s = (", "    q", "    @ k", ")", "p = s.softmax(-1)", "p @= v", "return p"),
        body("def scores(a, b):", "    return a @ b", "s = q @ k", "return nn.Softmax(dim=-1)(s) @ v"),
        HEAD + "def weights(s):\n    return s.softmax(-1)\ndef f(q, k, v):\n    return weights(q @ k) @ v\n",
        HEAD + "def probs(q, k):\n    return (q @ k).softmax(-1)\ndef f(q, k, v):\n    return probs(q, k) @ v\n",
    ],
)
def test_a_softmax_between_two_products_is_attention(tree: Tree, source: str) -> None:
    assert mechanisms(tree({"m.py": source}))["f"] == ("softmax",)


@pytest.mark.parametrize(
    "source",
    [
        body("return (q @ k).softmax(-1)"),
        body("return q.softmax(-1) @ v"),
        body("return torch.log_softmax(q @ k, -1)"),
        body("return (q @ k) @ v"),
        body("return F.relu(F.relu(q @ k) @ v) @ w"),
        body("return attention(q, k, v)"),
        body("return self.attention.softmax(q @ k)"),
        HEAD + "def softmax(x): return x\ndef attention(q, k, v):\n    return softmax(q @ k) @ v\n",
        HEAD
        + "class Attention(nn.Module):\n    def f(self, q):\n        return self.scaled_dot_product_attention(q)\n",
        "def scaled_dot_product_attention(q): ...\ndef f(q):\n    return scaled_dot_product_attention(q)\n",
        "from mine import F\ndef f(q):\n    return F.scaled_dot_product_attention(q)\n",
        HEAD + "class Head(nn.Module):\n    def __init__(self):\n        self.fc = nn.Linear(2, 2)\n"
        "    def forward(self, x, v):\n        return self.fc(x @ v).softmax(-1) @ v\n",
    ],
)
def test_what_only_looks_or_sounds_like_attention_is_none(tree: Tree, source: str) -> None:
    assert mechanisms(tree({"m.py": source})) == {}


@pytest.mark.parametrize(
    "source",
    [
        body(
            "q, k = F.elu(q) + 1, F.elu(k) + 1", "kv = torch.einsum('nsd,nsm->ndm', k, v)", "return einsum('a', q, kv)"
        ),
        body("k = k.softmax(dim=-1)", "c = einsum('bdn,ben->bde', k, v)", "return einsum('bde,bdn->ben', c, q)"),
        body("q, k = torch.relu(q), torch.relu(k)", "return (v @ k.mT) @ q"),
    ],
)
def test_a_product_with_a_product_of_features_is_linear_attention(tree: Tree, source: str) -> None:
    assert mechanisms(tree({"m.py": source})) == {"f": ("linear",)}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (HEAD + "def f(q):\n    return F.scaled_dot_product_attention(q, q, q)\n", "sdpa"),
        (
            "from torch.nn.functional import scaled_dot_product_attention as s\ndef f(q):\n    return s(q, q, q)\n",
            "sdpa",
        ),
        (HEAD + "s = F.scaled_dot_product_attention\ndef f(q):\n    return s(q, q, q)\n", "sdpa"),
        (HEAD + "def f(q):\n    s = F.scaled_dot_product_attention\n    return s(q, q, q)\n", "sdpa"),
        (HEAD + "def f(d):\n    return nn.MultiheadAttention(d, 2)\n", "multihead"),
        ("def f(q):\n    from flash_attn import flash_attn_func\n    return flash_attn_func(q, q, q)\n", "flash_attn"),
        (
            "try:\n    from flash_attn import flash_attn_varlen_func as fa\nexcept ImportError:\n    fa = None\n"
            "def f(q):\n    return fa(q)\n",
            "flash_attn",
        ),
        ("import xformers.ops as x\ndef f(q):\n    return x.memory_efficient_attention(q, q, q)\n", "xformers"),
        (
            "import torch\nfrom torch.nn.attention.flex_attention import flex_attention\n"
            "flex_attention = torch.compile(flex_attention)\ndef f(q):\n    return flex_attention(q, q, q)\n",
            "flex_attention",
        ),
    ],
)
def test_a_call_of_a_fused_kernel_is_attention_under_any_name(tree: Tree, source: str, found: str) -> None:
    assert mechanisms(tree({"m.py": source})) == {"f": (found,)}


CLASS = """
class Mixer(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.normalise = nn.Softmax(dim=-1)
    def weigh(self, q, k):
        return self.normalise(q @ k)
    def forward(self, x, attn_mask=None, past_key_values=None):
        if self.fused:
            return F.scaled_dot_product_attention(x, x, x, attn_mask=attn_mask, is_causal=True)
        return self.weigh(x, x) @ x
"""


def test_a_class_computes_what_its_methods_compute_together(tree: Tree) -> None:
    item = attention(tree({"m.py": HEAD + CLASS}))["Mixer"]
    assert (item.bases, item.line, item.resolved) == (("torch.nn.Module",), 5, True)
    assert item.facts == {
        "form": "class",
        "mechanisms": ("sdpa", "softmax"),
        "backends": ("sdpa", "eager"),
        "masks": ("attn_mask",),
        "caches": ("past_key_values",),
        "causal": ("true",),
        "through": (),
    }


def test_a_class_that_uses_an_attention_function_of_another_file_says_through_which(tree: Tree) -> None:
    root = tree(
        {
            "pkg/__init__.py": "from .core import attend",
            "pkg/core.py": HEAD + "def attend(q, k, v):\n    return (q @ k).softmax(-1) @ v\n",
            "pkg/use.py": HEAD + "import pkg\nclass Block(nn.Module):\n    def forward(self, x):\n"
            "        attn = pkg.attend\n        return attn(x, x, x)\n",
            "pkg/other.py": "from .no import attention\nclass A:\n    def f(self, x):\n        return attention(x)\n",
        }
    )
    found = attention(root)
    assert sorted(found) == ["Block", "attend"]
    assert found["Block"].facts["through"] == ("pkg.core.attend",)
    assert found["Block"].facts["mechanisms"] == ("softmax",)
