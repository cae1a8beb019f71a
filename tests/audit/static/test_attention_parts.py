from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.analysis import analyse
from audit.static.inventory import InventoryItem

Tree = Callable[[Mapping[str, str | bytes]], Path]

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
CORE = (
    HEAD + "class Attend(nn.Module):\n    def forward(self, q, k, v, mask=None):\n"
    "        return (q @ k.mT).softmax(-1) @ v\n"
)
FUNCTIONS = (
    HEAD + "def eager(q, k, v):\n    return (q @ k.mT).softmax(-1) @ v\n"
    "def fused(q, k, v):\n    return F.scaled_dot_product_attention(q, k, v)\n"
)


def attention(root: Path) -> dict[str, InventoryItem]:
    return {item.qualname: item for item in analyse(root, root).inventory if item.kind == "attention"}


def a_class(built: str, called: str, *, head: str = "from core import Attend\n", body: str = "") -> dict[str, str]:
    init = "".join(f"        {line}\n" for line in built.split("; "))
    source = HEAD + head + f"class Att(nn.Module):\n{body}    def __init__(self, d, part=None):\n{init}"
    return {"core.py": CORE, "m.py": f"{source}    def forward(self, x, q, k, v):\n        return {called}\n"}


PROJECTED = "self.to_q = nn.Linear(d, d); self.to_k = nn.Linear(d, d)"


@pytest.mark.parametrize(
    "files",
    [
        a_class(f"{PROJECTED}; self.attend = Attend()", "self.attend(q, k, v)"),
        a_class("self.qkv_proj = nn.Linear(d, d); self.core = Attend()", "self.core(query=q, key=k, value=v)[0]"),
        a_class(
            "self.Wqkv = nn.Linear(d, d); self.attend = Attend() if d else None", "self.attend(q_heads, k_heads, v, x)"
        ),
        a_class(
            f"{PROJECTED}; self.part = part or self.default()", "self.part(self, x)", body="    default = Attend\n"
        ),
        a_class(
            "self.query = LinearNoBias(d, d) if d else None; self.key = LinearNoBias(d, d); self.attend = Attend(d)",
            "self.attend(q, k, v)",
        ),
    ],
)
def test_a_class_that_projects_and_leaves_the_middle_to_a_part_is_attention(tree: Tree, files: dict[str, str]) -> None:
    found = attention(tree(files))
    assert sorted(found) == ["Att", "Attend"]
    assert found["Att"].facts["through"] == ("core.Attend",)
    assert found["Att"].facts["mechanisms"] == ("softmax",)


@pytest.mark.parametrize(
    "files",
    [
        a_class("self.attend = Attend()", "self.attend(q, k, v)"),  # projects nothing
        a_class("self.attn = Attend(); self.norm = nn.LayerNorm(d)", "x + self.attn(self.norm(x))"),  # a block
        a_class(f"{PROJECTED}; self.attend = Attend()", "self.attend(x)"),  # hands it no queries
        a_class(f"{PROJECTED}; self.attend = Attend()", "self.to_q(x) + self.to_k(x)"),  # does not call it
        a_class("self.q_norm = nn.LayerNorm(d); self.k_norm = nn.LayerNorm(d); self.a = Attend()", "self.a(q, k, v)"),
        a_class("self.query_embed = nn.Embedding(d, d); self.key = 3; self.attn = Attend()", "self.attn(q, k, v)"),
        a_class(f"{PROJECTED}; self.attend = AttendNot()", "self.attend(q, k, v)", head="class AttendNot: ...\n"),
    ],
)
def test_a_class_that_merely_holds_an_attention_is_none(tree: Tree, files: dict[str, str]) -> None:
    assert sorted(attention(tree(files))) == ["Attend"]


@pytest.mark.parametrize(
    "source",
    [
        "T = {'e': eager, 's': fused}\ndef f(q, k, v, kind):\n    return T[kind](q, k, v)\n",
        "T: dict = {'e': eager, 's': fused}\ndef f(q, k, v, kind):\n    return T.get(kind, None)(q, k, v)\n",
        "T = {'e': eager, 's': fused}\ndef f(q, k, v, kind):\n    attn = T[kind] if kind else eager\n"
        "    return attn(q, k, v)\n",
        "class R:\n    known = {'e': eager, 's': fused}\nT = R()\ndef f(q, k, v, kind):\n"
        "    name, attn = T.pick(kind)\n    return attn(q, k, v)\n",
        "class R:\n    @classmethod\n    def register(cls, name): ...\n"
        "@R.register('e')\ndef eager_attn(q, k, v):\n    return eager(q, k, v)\n"
        "@R.register('s')\ndef fused_attn(q, k, v):\n    return fused(q, k, v)\n"
        "def f(q, k, v, kind):\n    attn = R.known.get(kind)\n    return attn(q, k, v)\n",
        "def f(q, k, v, kind):\n    return {'e': eager, 's': fused}[kind](q, k, v)\n",
        "def f(q, k, v):\n    attn = getattr(F, 'scaled_dot_product_attention', None) or eager\n"
        "    return attn(q, k, v)\n",
    ],
)
def test_a_function_taken_from_a_table_and_called_is_attention(tree: Tree, source: str) -> None:
    found = attention(tree({"m.py": FUNCTIONS + source}))
    assert found["f"].facts["mechanisms"] == ("sdpa", "softmax")
    assert {"T[]", "R[]", "T", "R"}.isdisjoint(found)


def test_a_table_of_another_file_is_followed_through_re_exports(tree: Tree) -> None:
    use = "from pkg import ATTENTION\ndef f(q, k, v, kind):\n    return ATTENTION[kind](q, k, v)\n"
    table = FUNCTIONS + "ATTENTION = {'e': eager, 's': fused}\n"
    found = attention(tree({"pkg/__init__.py": "from .table import ATTENTION\n", "pkg/table.py": table, "use.py": use}))
    assert found["f"].facts["mechanisms"] == ("sdpa", "softmax")
    assert found["f"].facts["through"] == ("pkg.table.ATTENTION[]",)


@pytest.mark.parametrize(
    "source",
    [
        "ATTN = {'e': eager}\ndef names():\n    return list(ATTN)\n",  # a table that is only looked at
        "ATTN = {'e': eager}\ndef use(kind):\n    ATTN[kind] = None\n    return ATTN.keys()\n",
        "ATTN = {'e': print}\ndef attn(q, kind):\n    return ATTN[kind](q)\n",
        "class A(nn.Module):\n    def forward(self, q, k, v):\n        return eager(q, k, v)\n"
        "ATTN = {'a': A}\ndef build(kind):\n    return ATTN[kind](3)\n",  # makes an attention, computes none
    ],
)
def test_a_table_that_is_not_called_for_attention_makes_none(tree: Tree, source: str) -> None:
    assert sorted(set(attention(tree({"m.py": FUNCTIONS + source}))) - {"A"}) == ["eager", "fused"]


def test_a_class_that_inherits_its_forward_from_an_attention_is_one(tree: Tree) -> None:
    root = tree(
        {
            "core.py": CORE,
            "m.py": "from core import Attend\nfrom torch import nn\n"
            "class Near(Attend):\n    def __init__(self, width): ...\n"
            "class Far(Near): ...\n"
            "class Other(Attend):\n    def forward(self, x):\n        return x\n"
            "class Multi(nn.MultiheadAttention): ...\n"
            "class Mixed(nn.MultiheadAttention):\n    def forward(self, x):\n        return x\n",
        }
    )
    found = attention(root)
    assert sorted(found) == ["Attend", "Far", "Multi", "Near"]
    assert found["Near"].facts == {**found["Attend"].facts, "through": ("core.Attend",)}
    assert found["Far"].facts["through"] == ("core.Attend",)
    assert found["Multi"].facts["through"] == ("torch.nn.MultiheadAttention",)
    assert found["Near"].constructor
    assert [each.name for each in found["Near"].constructor.parameters] == ["width"]
