"""The inventory compared with what classes are once their modules are imported: hard derivations, and torch.nn."""

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))  # a script: not a package that could be imported
import compare_inventory

Tree = Callable[[Mapping[str, str | bytes]], Path]

BASE = (
    "from torch import nn\n__all__ = ['Block', 'Plain']\nclass Block(nn.Module): ...\nclass Plain: ...\n"
    "class _Own(nn.Module): ...\n"
)
# Each defines A, and says by run time what it is.
DERIVATIONS = (
    "import torch\nclass A(torch.nn.Module): ...",
    "from torch.nn import Module as M\nclass A(M): ...",
    "from torch.nn import *\nclass A(Sequential): ...",
    "from hard.base import Block\nclass A(Block): ...",
    "from .base import *\nclass A(Block): ...",
    "from . import base as b\nclass A(b.Block): ...",
    "import hard.base\nclass A(hard.base._Own): ...",
    "from hard import Exported\nclass A(Exported): ...",
    "import hard\nclass A(hard.base.Block): ...",
    "from .base import Plain\nclass A(Plain): ...",
    "from torch import nn\nclass Module: ...\nclass A(Module): ...",
    "from torch import nn\nclass nn:\n    class Module: ...\nclass A(nn.Module): ...",
    "from typing import Generic, TypeVar\nfrom torch import nn\nT = TypeVar('T')\n"
    "class B(nn.Module, Generic[T]): ...\nclass A(B[int]): ...",
    "from torch import nn\nFLAG = True\nclass A(nn.Module if FLAG else object): ...",
    "from torch import nn\nclass A(nn.Module and nn.Linear): ...",
    "from torch import nn\nBase = nn.Module\nclass A(Base): ...",
    "from torch import nn\nBase, Other = nn.Module, object\nclass A(Base): ...\nclass B(Other): ...",
    "try:\n    from torch.nn import Module\nexcept ImportError:\n    Module = object\nclass A(Module): ...",
    "from torch import nn\nclass Outer:\n    class Inner(nn.Module): ...\nclass A(Outer.Inner): ...",
    "from torch import nn\nclass Mixin: ...\nclass A(Mixin, nn.Module): ...",
    "from torch import nn\nfrom abc import ABC, ABCMeta\nclass A(nn.Module, ABC, metaclass=ABCMeta): ...",
    "from torch import nn\nfor base in (nn.Linear,):\n    pass\nwith open(__file__):\n    class A(nn.Module): ...",
    "import importlib\nnn = importlib.import_module('torch.nn')\nclass A(nn.Module): ...",
    "import torch\nclass A(getattr(torch.nn, 'Module')): ...",
    "from torch import nn\ndef wrap(found):\n    return lambda: found\n@wrap\nclass A(nn.Module): ...",
    "from torch.utils.data import Dataset\nclass A(Dataset[int]): ...\nclass B(A): ...",
    "class Dataset: ...\nclass A(Dataset): ...",
    "import torch\nclass A(torch.optim.SGD): ...\nclass B(torch.optim.lr_scheduler.StepLR): ...",
    "from torch.utils.data import BatchSampler, DataLoader\nclass A(BatchSampler): ...\nclass B(DataLoader): ...",
    "import torch\nclass A(torch.autograd.Function): ...\nclass B(torch.Tensor): ...",
    "from torch import nn\nclass Meta(type(nn.Module)): ...\nclass A(nn.Module, metaclass=Meta): ...",
    "from torch import nn\nif nn:\n    class A(nn.Module): ...\nelse:\n    class A(nn.Linear): ...",
    "from torch import nn\nclass A(nn.Module):\n    class B(nn.Module): ...\n    class C: ...",
    "import enum, dataclasses\n@dataclasses.dataclass\nclass A: ...\nclass B(enum.Enum): ...",
)


def test_hard_derivations_are_what_they_are_at_run_time(tree: Tree) -> None:
    files = {f"hard/d{number}.py": source + "\n" for number, source in enumerate(DERIVATIONS)}
    root = tree({"hard/__init__.py": "from .base import Block as Exported\n", "hard/base.py": BASE, **files})
    truth = compare_inventory.run_time_classes(root, "hard")
    assert (truth["failed"], len(compare_inventory.imported_modules(truth))) == ({}, len(DERIVATIONS) + 2)
    found = compare_inventory.compare(root, "hard", truth)
    assert {each.kind: (each.missed, each.wrong) for each in found if each.missed or each.wrong} == {}
    assert {each.kind: each.total for each in found} == {
        "model": 30,
        "dataset": 2,
        "datamodule": 0,
        "optimizer": 1,
        "scheduler": 1,
        "sampler": 1,
    }


@functools.cache
def torch_folder() -> Path:
    import torch

    return Path(torch.__file__).parent.parent


@pytest.mark.slow  # parses torch.nn and imports torch in a child
def test_the_models_of_torch_nn_are_what_they_are_at_run_time() -> None:
    truth = compare_inventory.run_time_classes(torch_folder(), "torch.nn")
    (models, *_) = compare_inventory.compare(torch_folder(), "torch.nn", truth)
    assert models.total > 150
    assert (models.recall, models.precision) >= (0.999, 0.999), (models.missed, models.wrong)
