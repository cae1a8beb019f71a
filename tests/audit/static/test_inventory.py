from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.analysis import analyse
from audit.static.inventory import InventoryItem

Tree = Callable[[Mapping[str, str | bytes]], Path]

MODULE = "from torch import nn\nclass Base(nn.Module): ...\n"


def items(root: Path) -> dict[str, InventoryItem]:
    return {f"{item.module}:{item.qualname}": item for item in analyse(root, root).inventory}


def models(root: Path) -> list[str]:
    return sorted(name for name, item in items(root).items() if item.kind == "model")


def unresolved(root: Path) -> list[str]:
    return sorted(name for name, item in items(root).items() if item.kind == "unresolved")


@pytest.mark.parametrize(
    "source",
    [
        "import torch\nclass A(torch.nn.Module): ...",
        "import torch.nn as nn\nclass A(nn.Module): ...",
        "from torch.nn import Module as M\nclass A(M): ...",
        "from torch.nn import *\nclass A(Linear): ...",
        "from torch.nn.modules.batchnorm import _BatchNorm\nclass A(_BatchNorm): ...",
        "import torch\nclass A(torch.jit.ScriptModule): ...",
        "import torch\nB = torch.nn.Module\nclass A(B): ...",
        "import torch\nfrom typing import Generic, TypeVar\nclass A(torch.nn.Module, Generic[TypeVar('T')]): ...",
        "try:\n    from torch import nn\nexcept ImportError:\n    nn = None\nclass A(nn.Module): ...",
        "try:\n    from torch.nn import Module\nexcept ImportError:\n    Module = object\nclass A(Module): ...",
        "import torch\nclass A(torch.nn.Module if FAST else object): ...",
        "import torch, somewhere\nclass A(somewhere.Mixin, torch.nn.Module): ...",
        "import pytest\nnn = pytest.importorskip('torch.nn')\nclass A(nn.Module): ...",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import nn\nclass A(nn.Module): ...",
    ],
)
def test_a_class_whose_base_is_module_under_any_name_is_a_model(tree: Tree, source: str) -> None:
    root = tree({"m.py": source})
    assert models(root) == ["m:A"]
    assert unresolved(root) == []


@pytest.mark.parametrize(
    "source",
    [
        "class Module: ...\nclass Model(Module): ...",
        "class nn:\n    class Module: ...\nclass A(nn.Module): ...",
        "import torch\nclass A(torch.autograd.Function): ...",
        "import enum\nclass A(enum.Enum): ...",
        "class A(Exception): ...",
        "from collections import namedtuple\nclass A(namedtuple('A', 'x y')): ...",
        "from torch.nn import Module\nclass Module: ...\nclass A(Module): ...",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch.nn import Module as B\n"
        "else:\n    B = object\nclass A(B): ...",
        "from tkinter import *\nclass A(Frame): ...",
    ],
)
def test_a_class_that_reaches_no_root_is_not_listed(tree: Tree, source: str) -> None:
    assert items(tree({"m.py": source})) == {}


@pytest.mark.parametrize(
    ("source", "bases"),
    [
        ("from somewhere import Module\nclass A(Module): ...", ("somewhere.Module",)),
        ("import flax.linen as nn\nclass A(nn.Module): ...", ("flax.linen.Module",)),
        ("from somewhere import *\nclass A(Base): ...", ("somewhere.Base",)),
        ("import x\nclass A(x.make(3)): ...", ("x.make()",)),
        ("import x\nB = x.make()\nclass A(B.C): ...", ("B.C",)),
        ("class A(Missing): ...", ("Missing",)),
        ("bases = [object]\nclass A(*bases): ...", ("*bases",)),
        ("from torch.nn import NoSuchLayer\nclass A(NoSuchLayer): ...", ("torch.nn.NoSuchLayer",)),
        ("from ...above import B\nclass A(B): ...", ("..above.B",)),
    ],
)
def test_a_chain_that_ends_outside_the_target_is_unresolved(tree: Tree, source: str, bases: tuple[str, ...]) -> None:
    item = items(tree({"m.py": source}))["m:A"]
    assert (item.kind, item.resolved, item.bases) == ("unresolved", False, bases)


def test_a_class_is_unresolved_where_its_base_is(tree: Tree) -> None:
    root = tree({"a.py": "from ext import B\nclass A(B): ...", "b.py": "from a import A\nclass C(A): ..."})
    assert unresolved(root) == ["a:A", "b:C"]


def test_a_model_is_found_three_files_away_from_module(tree: Tree) -> None:
    root = tree(
        {
            "pkg/__init__.py": "",
            "pkg/a.py": MODULE,
            "pkg/b.py": "from pkg.a import Base as B\nclass Middle(B): ...",
            "pkg/c.py": "from . import b as other\nclass Last(other.Middle): ...",
        }
    )
    assert models(root) == ["pkg.a:Base", "pkg.b:Middle", "pkg.c:Last"]


def test_an_item_says_where_the_class_is_and_what_its_bases_are(tree: Tree) -> None:
    root = tree({"pkg/__init__.py": "", "pkg/a.py": MODULE, "pkg/b.py": "from .a import *\n\nclass C(Base): ...\n"})
    base, derived = items(root)["pkg.a:Base"], items(root)["pkg.b:C"]
    assert (base.path, base.line, base.bases) == ("pkg/a.py", 2, ("torch.nn.Module",))
    assert (derived.path, derived.line, derived.bases) == ("pkg/b.py", 3, ("pkg.a.Base",))


@pytest.mark.parametrize(
    "files",
    [
        {"pkg/__init__.py": "from .a import Base"},
        {"pkg/__init__.py": "from .a import *"},
        {"pkg/__init__.py": "from . import a\nBase = a.Base"},
        {"pkg/__init__.py": "from .b import *", "pkg/b.py": "from .a import *"},
        {"pkg/__init__.py": "from .a import *\nfrom .a import __all__", "pkg/a.py": "__all__ = ['Base']\n" + MODULE},
        {"pkg/__init__.py": "try:\n    from .a import Base\nexcept ImportError:\n    Base = None"},
        {"pkg/__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import Base\n"},
    ],
    ids=["from", "star", "alias", "star of star", "star with __all__", "guarded", "type checking only"],
)
def test_a_base_is_followed_through_re_exports_of_its_package(tree: Tree, files: dict[str, str]) -> None:
    root = tree({"pkg/a.py": MODULE, "use.py": "import pkg\nclass A(pkg.Base): ..."} | files)
    assert "use:A" in models(root)


@pytest.mark.parametrize(
    "source",
    [
        "import pkg.a\nclass A(pkg.a.Base): ...",
        "import pkg.a as layers\nclass A(layers.Base): ...",
        "from pkg import a\nclass A(a.Base): ...",
        "from pkg.a import nn\nclass A(nn.Linear): ...",
    ],
)
def test_a_base_is_reached_as_an_attribute_of_a_submodule(tree: Tree, source: str) -> None:
    assert "use:A" in models(tree({"pkg/__init__.py": "", "pkg/a.py": MODULE, "use.py": source}))


def test_a_name_that_all_does_not_list_is_not_star_imported(tree: Tree) -> None:
    root = tree({"a.py": "__all__ = []\n" + MODULE, "b.py": "from a import *\nclass A(Base): ..."})
    assert "b:A" not in models(root)


def test_a_name_with_an_underscore_is_star_imported_only_where_all_lists_it(tree: Tree) -> None:
    source = "from torch import nn\nclass _B(nn.Module): ...\n"
    use = "class A(_B): ..."
    root = tree({"a.py": source, "b.py": "__all__ = ['_B']\n" + source})
    tree({"use_a.py": f"from a import *\n{use}", "use_b.py": f"from b import *\n{use}"})
    assert "use_b:A" in models(root)
    assert "use_a:A" in unresolved(root)


def test_the_last_star_import_that_exports_a_name_binds_it(tree: Tree) -> None:
    files = {"a.py": MODULE, "b.py": "class Base: ...", "c.py": "from a import *\nfrom b import *\nclass A(Base): ..."}
    assert "c:A" not in items(tree(files))


def test_a_star_import_replaces_a_name_bound_before(tree: Tree) -> None:
    root = tree({"a.py": MODULE, "c.py": "class Base: ...\nfrom a import *\nclass A(Base): ..."})
    assert "c:A" in models(root)


def test_a_class_with_the_name_of_its_module_is_reached_through_both(tree: Tree) -> None:
    files = {"pkg/__init__.py": "from .Base import Base", "pkg/Base.py": MODULE}
    files |= {
        "a.py": "from pkg.Base import Base\nclass A(Base): ...",
        "b.py": "from pkg import Base\nclass B(Base): ...",
    }
    assert {"a:A", "b:B"} <= set(models(tree(files)))


def test_nested_and_inherited_classes_are_reached_as_attributes(tree: Tree) -> None:
    source = "from torch import nn\nclass Outer:\n    class Inner(nn.Module): ...\nclass Child(Outer): ...\n"
    root = tree({"a.py": source, "b.py": "from a import Child\nclass A(Child.Inner): ..."})
    assert models(root) == ["a:Outer.Inner", "b:A"]


def test_a_class_in_a_function_is_listed(tree: Tree) -> None:
    root = tree({"a.py": "from torch import nn\ndef make():\n    class Net(nn.Module): ...\n    return Net\n"})
    assert models(root) == ["a:make.<locals>.Net"]


def test_both_definitions_of_a_conditional_class_are_listed(tree: Tree) -> None:
    source = "from torch import nn\nif nn:\n    class A(nn.Module): ...\nelse:\n    class A(nn.Linear): ...\n"
    root = tree({"a.py": source})
    found = [item.line for item in analyse(root, root).models]
    assert found == [3, 5]


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": "from b import X\nclass A(X): ...", "b.py": "from a import X"},
        {"a.py": "import a\nX = a.X.Y\nclass A(X): ..."},
        {"a.py": "from a import *\nclass A(X): ..."},
        {"a.py": "from b import *\nclass A(X): ...", "b.py": "from a import *"},
        {"a.py": "class A(A): ..."},
        {"a.py": "from b import B\nclass A(B): ...", "b.py": "from a import A\nclass B(A): ..."},
        {"a.py": "X = X()\nclass A(X): ..."},
    ],
    ids=["import", "growing", "own star", "star", "own base", "bases", "call"],
)
def test_names_that_lead_in_circles_end_and_are_no_models(tree: Tree, files: dict[str, str]) -> None:
    assert models(tree(files)) == []


def test_a_circle_with_a_way_out_leads_to_the_model(tree: Tree) -> None:
    fallback = "try:\n    from b import X\nexcept ImportError:\n    from torch.nn import Module as X\nclass A(X): ..."
    assert models(tree({"a.py": fallback, "b.py": "from a import X\nclass B(X): ..."})) == ["a:A", "b:B"]


def test_a_chain_of_a_thousand_files_is_followed(tree: Tree) -> None:
    files = {"m0.py": "from torch.nn import Module as X"}
    files |= {f"m{number}.py": f"from m{number - 1} import X" for number in range(1, 1000)}
    root = tree(files | {"last.py": "from m999 import X\nclass A(X): ..."})
    assert models(root) == ["last:A"]


def test_a_script_finds_the_files_beside_it(tree: Tree) -> None:
    root = tree({"scripts/base.py": MODULE, "scripts/train.py": "from base import Base\nclass A(Base): ..."})
    assert "scripts.train:A" in models(root)


def test_a_folder_of_scripts_does_not_hide_an_installed_package_of_its_name(tree: Tree) -> None:
    use = "import torch.nn as nn\nclass A(nn.Module): ..."
    root = tree({"torch/example.py": use, "torch/nn.py": "class Module: ...", "m.py": use})
    assert models(root) == ["m:A", "torch.example:A"]


def test_a_package_of_the_target_named_torch_is_not_torch(tree: Tree) -> None:
    root = tree({"torch/__init__.py": "", "torch/nn.py": "class Module: ...", "m.py": "import torch.nn\n"})
    tree({"n.py": "from torch import nn\nclass A(nn.Module): ..."})
    assert models(root) == []


def test_a_base_from_a_file_with_a_syntax_error_is_unresolved(tree: Tree) -> None:
    root = tree({"a.py": "class Base(:", "b.py": "from a import Base\nclass A(Base): ..."})
    assert unresolved(root) == ["b:A"]


def test_module_is_a_model_in_the_sources_of_torch_itself(tree: Tree) -> None:
    root = tree({f"torch/{folder}__init__.py": "" for folder in ("", "nn/", "nn/modules/")})
    tree({"torch/nn/modules/module.py": "class Module: ...\nclass Other: ...\n"})
    assert models(root) == ["torch.nn.modules.module:Module"]


def test_a_package_comes_before_a_file_of_its_name(tree: Tree) -> None:
    root = tree(
        {"pkg.py": "class Base: ...", "pkg/__init__.py": MODULE, "use.py": "import pkg\nclass A(pkg.Base): ..."}
    )
    assert "use:A" in models(root)


def test_a_submodule_behind_a_value_known_at_run_time_only_is_looked_into(tree: Tree) -> None:
    files = {"pkg/__init__.py": "layers = lazily('layers')", "pkg/layers.py": MODULE}
    assert "use:A" in models(tree(files | {"use.py": "import pkg\nclass A(pkg.layers.Base): ..."}))
