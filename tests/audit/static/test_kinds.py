from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.analysis import analyse

Tree = Callable[[Mapping[str, str | bytes]], Path]


def kinds(root: Path, *, installed: Path | None = None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in analyse(root, root, installed=[installed] if installed else []).inventory:
        found.setdefault(item.qualname, []).append(str(item.kind))
    return found


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("from torch.utils.data import Dataset\nclass A(Dataset): ...", "dataset"),
        ("from torch.utils.data import Dataset as D\nclass A(D[int]): ...", "dataset"),
        ("import torch\nclass A(torch.utils.data.IterableDataset): ...", "dataset"),
        ("from torch.utils import data\nclass A(data.TensorDataset): ...", "dataset"),
        ("from torch.utils.data.dataset import *\nclass A(Subset): ...", "dataset"),
        ("import torch.optim as o\nclass A(o.AdamW): ...", "optimizer"),
        ("from torch.optim.optimizer import Optimizer\nclass A(Optimizer): ...", "optimizer"),
        ("from torch.optim.lr_scheduler import _LRScheduler\nclass A(_LRScheduler): ...", "scheduler"),
        ("import torch\nclass A(torch.optim.lr_scheduler.ReduceLROnPlateau): ...", "scheduler"),
        ("from torch.utils.data import Sampler\nclass A(Sampler[int]): ...", "sampler"),
        ("from torch.utils.data.distributed import DistributedSampler as S\nclass A(S): ...", "sampler"),
        ("import lightning as L\nclass A(L.LightningDataModule): ...", "datamodule"),
        ("from pytorch_lightning.core import LightningDataModule\nclass A(LightningDataModule): ...", "datamodule"),
        ("import lightning.pytorch as pl\nclass A(pl.LightningModule): ...", "model"),
    ],
)
def test_a_class_has_the_kind_that_its_bases_lead_to(tree: Tree, source: str, kind: str) -> None:
    assert kinds(tree({"m.py": source})) == {"A": [kind]}


@pytest.mark.parametrize(
    "source",
    [
        "class Dataset: ...\nclass A(Dataset): ...",
        "class MyDataset:\n    def __len__(self): ...\n    def __getitem__(self, index): ...",
        "class torch:\n    class optim:\n        class Optimizer: ...\nclass A(torch.optim.Optimizer): ...",
        "from torch.utils.data import DataLoader\nclass A(DataLoader): ...",
    ],
)
def test_a_class_that_only_looks_like_a_kind_has_none(tree: Tree, source: str) -> None:
    assert kinds(tree({"m.py": source})) == {}


def test_a_dataset_of_another_library_is_not_decided(tree: Tree) -> None:
    assert kinds(tree({"m.py": "from datasets import Dataset\nclass A(Dataset): ..."})) == {"A": ["unresolved"]}


def test_a_class_with_two_roots_is_listed_once_for_each(tree: Tree) -> None:
    source = "import torch\nclass A(torch.nn.Module, torch.utils.data.Dataset): ..."
    assert kinds(tree({"m.py": source})) == {"A": ["dataset", "model"]}


def test_a_lightning_module_is_a_model_that_says_so(tree: Tree) -> None:
    root = tree(
        {"a.py": "import lightning as L\nclass A(L.LightningModule): ...", "b.py": "import a\nclass B(a.A): ..."}
    )
    assert [item.facts for item in analyse(root, root).models] == [{"lightning": True}] * 2


def test_only_models_are_found_as_items_by_name(tree: Tree) -> None:
    root = tree({"m.py": "import torch\nclass A(torch.utils.data.Dataset): ..."})
    found = analyse(root, root)
    assert (found.models, type(found.find_class("m", "A")).__name__) == ((), "ClassSummary")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages, which raise when they are imported."""
    files = {
        "layers/__init__.py": "from .base import *\nraise SystemExit\n",
        "layers/base.py": "from torch import nn\n__all__ = ['Block', 'Plain']\nclass Block(nn.Module): ...\n"
        "class Plain: ...",
        "layers/hidden.py": "from .base import Block\n__all__ = ['Other']\nclass Other(Block): ...\n",
        "single.py": "import torch\nclass Data(torch.utils.data.Dataset): ...\n",
        "space/part/__init__.py": "from layers import Block as Deep",
        "compiled/__init__.py": "from .core import Native",
        "compiled/core.abi3.so": "",
        "broken.py": "class Base(:",
    }
    for relative, content in files.items():
        path = tmp_path / "site" / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "site"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from layers import Block\nclass A(Block): ...", ["model"]),
        ("from layers import *\nclass A(Block): ...", ["model"]),
        ("import layers.hidden\nclass A(layers.hidden.Other): ...", ["model"]),
        ("import single\nclass A(single.Data): ...", ["dataset"]),
        ("from space.part import Deep\nclass A(Deep): ...", ["model"]),
        ("from layers import Plain\nclass A(Plain): ...", []),
        ("from layers import Missing\nclass A(Missing): ...", ["unresolved"]),
        ("from compiled import Native\nclass A(Native): ...", ["unresolved"]),
        ("from broken import Base\nclass A(Base): ...", ["unresolved"]),
    ],
)
def test_a_base_is_followed_into_installed_sources(tree: Tree, site: Path, source: str, found: list[str]) -> None:
    assert kinds(tree({"m.py": source}), installed=site).get("A", []) == found


def test_installed_classes_are_not_listed(tree: Tree, site: Path) -> None:
    root = tree({"m.py": "from layers import Block\nclass A(Block): ..."})
    assert [item.path for item in analyse(root, root, installed=[site]).inventory] == ["m.py"]


def test_the_target_comes_before_an_installed_package_of_its_name(tree: Tree, site: Path) -> None:
    root = tree({"layers/__init__.py": "class Block: ...", "m.py": "from layers import Block\nclass A(Block): ..."})
    assert kinds(root, installed=site) == {}


def test_a_module_beside_the_package_under_audit_is_followed(tree: Tree) -> None:
    root = tree(
        {"pkg/__init__.py": "from beside import B\nclass A(B): ...", "beside.py": "from torch.nn import Module as B"}
    )
    assert [item.qualname for item in analyse(root, root / "pkg").models] == ["A"]


def test_a_lazy_package_leads_through_star_imports_for_type_checkers(tree: Tree) -> None:
    lazy = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .part import *\nelse:\n    install_lazy_module()"
    )
    root = tree({"pkg/__init__.py": lazy, "pkg/part.py": "from torch import nn\nclass B(nn.Module): ..."})
    tree({"m.py": "from pkg import B\nclass A(B): ..."})
    assert kinds(root) == {"A": ["model"], "B": ["model"]}
