"""An inventory of which only a part was made anew is the one that is made of all files."""

import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.static import per_file, whole_inventory
from audit.static.analysis import StaticAnalysis, analyse
from audit.static.inventory import InventoryKind
from audit.static.store import FactStore

Tree = Callable[[Mapping[str, str | bytes]], Path]

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\nfrom torch.utils.data import Dataset\n"
PATHS = ("p/__init__.py", "p/a.py", "p/b.py", "p/q/__init__.py", "p/q/c.py", "run.py")
MODULES = ("p", "p.a", "p.b", "p.q", "p.q.c", "run", ".a", ".", "torch.nn", "elsewhere")
NAMES = ("A", "B", "C", "D")
SNIPPETS = (
    "from {module} import *",
    "from {module} import {name}",
    "from {module} import {name} as {other}",
    "from {module} import attend_{name}",
    "import p.a, p.q.c",
    "{name} = {other}",
    "{name} = p.a.{other}",
    "__all__ = ['{name}']",
    "class {name}({other}): pass",
    "class {name}(p.q.c.{other}): pass",
    "class {name}(nn.Module): pass",
    "class {name}(Dataset): pass",
    "class {name}(torch.optim.SGD): pass",
    "class {name}({other} if torch.flag else nn.Module): pass",
    "class {name}(nn.Module):\n    def forward(self, x):\n        return attend_{other}(x, x, x)",
    "def attend_{name}(q, k, v):\n    return F.scaled_dot_product_attention(q, k, v)",
    "def attend_{name}(q, k, v):\n    return attend_{other}(q, k, v)",
    "def train():\n    model = {name}()\n    optimizer = {other}(model.parameters())\n    for x in model:\n"
    "        model(x).backward()\n        optimizer.step()\nif __name__ == '__main__':\n    train()",
    "class {name}({other}):\n    def __init__(self, dim, heads={module!r}):\n        super().__init__()",
    "class {name}(nn.Module):\n    def __init__(self):\n        self.attend = {other}()\n"
    "        self.to_q = nn.Linear(4, 4)\n        self.to_k = nn.Linear(4, 4)\n        self.to_v = nn.Linear(4, 4)\n"
    "    def forward(self, x):\n        return self.attend(self.to_q(x), self.to_k(x), self.to_v(x))",
    "TABLE = {{'eager': attend_{name}}}",
    "class {name}(nn.Module):\n    def forward(self, x):\n        return TABLE['eager'](x, x, x)",
    "from {module} import TABLE",
    "# a comment",
)

snippets = st.builds(
    lambda text, module, name, other: text.format(module=module, name=name, other=other),
    st.sampled_from(SNIPPETS),
    st.sampled_from(MODULES),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
)
contents = st.lists(snippets, max_size=5).map(lambda parts: HEAD + "".join(f"{part}\n" for part in parts))


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_file, "SETTLED_AFTER_NS", 0)


def _written(root: Path, files: Mapping[str, str]) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)


@given(
    files=st.fixed_dictionaries(dict.fromkeys(PATHS, contents)),
    edits=st.lists(st.dictionaries(st.sampled_from(PATHS), contents, min_size=1, max_size=2), min_size=1, max_size=4),
)
@settings(max_examples=120, deadline=None)
def test_what_was_mended_is_what_is_made_of_everything(files: dict[str, str], edits: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        _written(root, files)
        for edit in ({}, *edits):
            _written(root, edit)
            with FactStore(Path(folder) / "cache") as store:
                found = analyse(root, root, store=store)
            assert found == analyse(root, root)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The files whose classes were listed anew, for each time that any were."""
    seen: list[set[str]] = []
    original = whole_inventory.class_items

    def spy(graph: Any, paths: Collection[str]) -> Any:
        seen.append(set(paths))
        return original(graph, paths)

    monkeypatch.setattr(whole_inventory, "class_items", spy)
    return seen


FILES = {
    "base.py": f"{HEAD}class Base(nn.Module):\n    def forward(self, x):\n        return x\n",
    "model.py": f"{HEAD}from base import Base\nclass Model(Base):\n    pass\n",
    "late.py": f"{HEAD}from model import *\nclass Late(Model):\n    pass\n",
    "other.py": f"{HEAD}class Other(nn.Module):\n    pass\n",
    "more.py": f"{HEAD}class More(nn.Module):\n    pass\n",
    "most.py": f"{HEAD}class Most(nn.Module):\n    pass\n",
    "last.py": f"{HEAD}class Last(nn.Module):\n    pass\n",
}


def _analysed(root: Path) -> StaticAnalysis:
    with FactStore(root.parent / "cache") as store:
        return analyse(root, root, store=store)


@pytest.mark.parametrize(
    ("path", "before", "after", "anew"),
    [
        ("base.py", "return x", "return x + 1", {"base.py"}),
        ("base.py", "class Base", "# why\n\nclass Base", {"base.py"}),
        ("base.py", "class Base(nn.Module)", "class Base(Dataset)", {"base.py", "model.py", "late.py"}),
        ("base.py", "class Base", "LIMIT = 3\nclass Base", {"base.py", "model.py", "late.py"}),
        ("model.py", "class Model(Base)", "class Model(Dataset)", {"model.py", "late.py"}),
        ("late.py", "class Late(Model)", "class Late(Dataset)", {"late.py"}),
    ],
)
def test_only_what_can_depend_on_a_change_is_made_anew(
    tree: Tree, made: list[set[str]], path: str, before: str, after: str, anew: set[str]
) -> None:
    root = tree(FILES)
    first = _analysed(root)
    assert made == [set(FILES)]
    assert {item.qualname for item in first.models} == {"Base", "Model", "Late", "Other", "More", "Most", "Last"}
    assert before in FILES[path]
    tree({path: FILES[path].replace(before, after)})
    second = _analysed(root)
    assert made[1:] == [anew]
    assert second == analyse(root, root)


def test_nothing_is_made_anew_of_what_is_the_same(tree: Tree, made: list[set[str]]) -> None:
    root = tree(FILES)
    first = _analysed(root)
    assert _analysed(root) == first
    assert made == [set(FILES)]


@pytest.mark.parametrize("change", [{"new.py": HEAD}, {"other.py": "class ("}])
def test_a_file_more_or_less_makes_everything_anew(tree: Tree, made: list[set[str]], change: Mapping[str, str]) -> None:
    root = tree(FILES)
    _analysed(root)
    tree(change)
    found = _analysed(root)
    assert found == analyse(root, root)
    readable = set(FILES) ^ (set(change) if "new.py" in change else {"other.py"})
    assert made[1] == readable


def test_a_function_that_attends_no_more_is_told_to_those_that_call_it(tree: Tree) -> None:
    root = tree(
        FILES
        | {
            "compute.py": f"{HEAD}def attend(q, k, v):\n    return F.scaled_dot_product_attention(q, k, v)\n",
            "calls.py": f"{HEAD}from compute import attend\nclass Layer(nn.Module):\n"
            "    def forward(self, x):\n        return attend(x, x, x)\n",
        }
    )
    names = {item.qualname for item in _analysed(root).inventory if item.kind is InventoryKind.ATTENTION}
    assert names == {"attend", "Layer"}
    tree({"compute.py": f"{HEAD}def attend(q, k, v):\n    return q + k + v\n"})
    found = _analysed(root)
    assert not [item for item in found.inventory if item.kind is InventoryKind.ATTENTION]
    assert found == analyse(root, root)


ATTEND = "def attend(q, k, v):\n    return F.scaled_dot_product_attention(q, k, v)\n"
LAYER = "class {name}(nn.Module):\n    def forward(self, x):\n        return attend(x, x, x)\n"


def _attention(analysis: StaticAnalysis) -> set[str]:
    return {item.qualname for item in analysis.inventory if item.kind is InventoryKind.ATTENTION}


def test_what_computes_attention_elsewhere_is_known_where_only_its_caller_has_changed(tree: Tree) -> None:
    calls = f"{HEAD}from compute import attend\n{LAYER.format(name='Layer')}"
    root = tree(FILES | {"compute.py": HEAD + ATTEND, "calls.py": calls})
    assert _attention(_analysed(root)) == {"attend", "Layer"}
    tree({"calls.py": f"{calls}# more\n"})
    assert _attention(_analysed(root)) == {"attend", "Layer"}


def test_a_name_that_two_files_take_from_one_changes_for_both(tree: Tree) -> None:
    callers = {
        f"{name}.py": f"{HEAD}from hub import attend\n{LAYER.format(name=name.title())}" for name in ("one", "two")
    }
    root = tree(FILES | callers | {"compute.py": HEAD + ATTEND, "hub.py": "from compute import attend\n"})
    assert _attention(_analysed(root)) == {"attend", "One", "Two"}
    tree({"hub.py": "def attend(q, k, v):\n    return q\n"})
    assert _attention(_analysed(root)) == {"attend"}
