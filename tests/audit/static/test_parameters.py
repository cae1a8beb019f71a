import ast
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from audit.static.analysis import analyse
from audit.static.inventory import InventoryItem, Signature
from audit.static.lines import SourceLines
from audit.static.parameters import Parameter, parameters_of

Tree = Callable[[Mapping[str, str | bytes]], Path]

HEAD = "import torch\nfrom torch import nn\nfrom dataclasses import dataclass\nfrom typing import Generic, TypeVar\n"
T = "T = TypeVar('T')\n"


def models(root: Path, **given: Any) -> dict[str, InventoryItem]:
    return {item.qualname: item for item in analyse(root, root, **given).inventory if item.kind == "model"}


def names(signature: Signature | None) -> list[str] | None:
    return None if signature is None else [each.name for each in signature.parameters]


@pytest.mark.parametrize(
    "source",
    [
        "def f(): ...",
        "def f(a, b=1, /, c=2, *rest, d, e=None, **more): ...",
        "def f(a, /, *, b): ...",
        "def f(*, a=1, b, c=2): ...",
        "async def f(x: int, y: 'str' = 'é') -> None: ...",
        "def f(é: 'ü' = 'ö', ß: int = 3): ...",
        "def f(\n    a: int,  # one\n    b: dict = {\n        1: 2,  # two\n    },\n): ...",
    ],
)
def test_parameters_are_those_of_the_signature_at_run_time(source: str) -> None:
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    scope: dict[str, Any] = {}
    exec(source, scope)
    found = parameters_of(function, SourceLines(source))
    expected = list(inspect.signature(scope["f"]).parameters.values())
    assert [(each.name, each.kind.upper()) for each in found] == [(each.name, each.kind.name) for each in expected]
    for each, real in zip(found, expected, strict=True):
        assert (each.default is None) == (real.default is inspect.Parameter.empty)
        assert each.default is None or eval(each.default) == real.default
        assert (each.annotation is None) == (real.annotation is inspect.Parameter.empty)
        assert each.annotation is None or eval(each.annotation) == real.annotation


def test_a_model_has_the_parameters_of_its_constructor_and_its_forward(tree: Tree) -> None:
    source = (
        "class Net(nn.Module):\n"
        "    def __init__(self, dim: int, *, act: str = 'gelu') -> None: ...\n"
        "    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None, **more): ...\n"
    )
    net = models(tree({"m.py": HEAD + source}))["Net"]
    assert net.model_dump(mode="json")["constructor"] == {
        "parameters": [
            {"name": "dim", "annotation": "int", "default": None, "kind": "positional_or_keyword"},
            {"name": "act", "annotation": "str", "default": "'gelu'", "kind": "keyword_only"},
        ],
        "inherited_from": None,
    }
    assert net.forward
    assert net.forward.parameters[1] == Parameter("mask", annotation="torch.Tensor | None", default="None")
    assert names(net.forward) == ["x", "mask", "more"]


def test_a_signature_is_inherited_from_another_file_and_from_an_installed_package(tree: Tree, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "lib").mkdir(parents=True)
    (site / "lib" / "__init__.py").write_text(HEAD + "class Far(nn.Module):\n    def forward(self, far): ...\n")
    root = tree(
        {
            "a.py": "from lib import Far\nclass A(Far):\n    def __init__(self, width): ...\n",
            "b.py": "from a import A as Base\nclass B(Base): ...\n",
        }
    )
    found = models(root, installed=[site])["B"]
    assert (names(found.constructor), names(found.forward)) == (["width"], ["far"])
    assert found.constructor
    assert found.constructor.inherited_from == "a.A"
    assert found.forward
    assert found.forward.inherited_from == "lib.Far"


HIERARCHIES = [
    "class A(nn.Module): ...\n",
    "class M:\n    def forward(self, m): ...\nclass A(M, nn.Module): ...\n",
    "class B(nn.Module):\n    def __init__(self, b): ...\n    def forward(self, b): ...\n"
    "class C(nn.Module):\n    def __init__(self, c): ...\nclass A(C, B): ...\n",
    "class R(nn.Module):\n    def __init__(self, r): ...\n    def forward(self, r): ...\nclass B(R): ...\n"
    "class C(R):\n    def __init__(self, c): ...\n    def forward(self, c): ...\nclass A(B, C): ...\n",
    "class X: ...\nclass A(X, nn.Module):\n    def forward(self, x): ...\n",
    T + "class G(nn.Module, Generic[T]):\n    def forward(self, x: T): ...\nclass A(G[int]): ...\n",
    "class A(nn.Module):\n    if True:\n        def forward(self, a): ...\n    else:\n        pass\n",
    "class A(nn.Module):\n    def forward(self, a): ...\n    def forward(self, b): ...\n",
    "class B(nn.Module):\n    class A(nn.Module):\n        def forward(self, inner): ...\nA = B.A\n",
]


@pytest.mark.parametrize("source", HIERARCHIES)
def test_an_inherited_method_is_the_one_that_python_takes(tree: Tree, source: str) -> None:
    scope: dict[str, Any] = {"__name__": "m"}
    exec(HEAD + source, scope)
    real: type[nn.Module] = scope["A"]
    found = models(tree({"m.py": HEAD + source}))[real.__qualname__]
    for method, signature in (("__init__", found.constructor), ("forward", found.forward)):
        owner = next(each for each in real.__mro__ if method in vars(each))
        if owner is nn.Module:
            assert names(signature) == ([] if method == "__init__" else None)
            continue
        assert names(signature) == list(inspect.signature(getattr(owner, method)).parameters)[1:]
        assert signature
        assert signature.inherited_from == (None if owner is real else f"m.{owner.__qualname__}")


def test_a_module_without_a_constructor_is_built_from_nothing(tree: Tree) -> None:
    found = models(tree({"m.py": HEAD + HIERARCHIES[0]}))["A"]
    assert found.constructor == Signature(parameters=(), inherited_from="torch.nn.Module")
    assert found.forward is None
    with pytest.raises(TypeError):
        torch.nn.Module(1)


@pytest.mark.parametrize(
    "source",
    [
        "from somewhere import Base\nclass A(Base, nn.Module): ...",
        "if FAST:\n    from x import Base\nelse:\n    Base = nn.Module\nclass A(Base): ...",
        "class A(nn.Linear): ...",
        "@dataclass\nclass A(nn.Module):\n    width: int\n    forward = other",
    ],
)
def test_what_the_source_does_not_tell_is_none(tree: Tree, source: str) -> None:
    found = models(tree({"m.py": HEAD + source}))["A"]
    assert (found.constructor, found.forward) == (None, None)


def test_a_data_set_has_the_parameters_of_its_constructor(tree: Tree) -> None:
    source = (
        "from torch.utils.data import Dataset, IterableDataset, TensorDataset\n"
        "class Files(Dataset):\n    def __init__(self, folder, *, split): ...\n"
        "class Heir(Files):\n    def forward(self, x): ...\n"
        "class Whole(Dataset[int]): ...\nclass Stream(IterableDataset): ...\nclass Pairs(TensorDataset): ...\n"
        "class Made(Dataset):\n    def __new__(cls, root): ...\n"
    )
    items = analyse(root := tree({"m.py": HEAD + source}), root).inventory
    found = {item.qualname: item for item in items if item.kind == "dataset"}
    given = {name: names(item.constructor) for name, item in found.items()}
    assert given == {
        "Files": ["folder", "split"],
        "Heir": ["folder", "split"],
        "Whole": [],
        "Stream": [],
        "Pairs": None,
        "Made": None,
    }
    assert {item.forward for item in found.values()} == {None}


def test_a_function_and_a_class_of_attention_have_their_parameters(tree: Tree) -> None:
    source = (
        "def attend(q, k, v, mask=None):\n    return (q @ k.mT).softmax(-1) @ v\n"
        "class Attention(nn.Module):\n    def __init__(self, dim): ...\n"
        "    def forward(self, x):\n        return attend(x, x, x)\n"
    )
    root = tree({"m.py": HEAD + source})
    found = {item.qualname: item for item in analyse(root, root).inventory if item.kind == "attention"}
    assert names(found["attend"].forward) == ["q", "k", "v", "mask"]
    assert found["attend"].constructor is None
    assert (names(found["Attention"].constructor), names(found["Attention"].forward)) == (["dim"], ["x"])


def test_a_chain_of_a_thousand_bases_is_followed(tree: Tree) -> None:
    links = "".join(f"class C{n + 1}(C{n}): ...\n" for n in range(1000))
    source = HEAD + "class C0(nn.Module):\n    def forward(self, x): ...\n" + links
    assert names(models(tree({"m.py": source}))["C1000"].forward) == ["x"]
