import importlib
import pkgutil
import warnings
from collections.abc import Iterator

import pytest

from audit.static.torch_classes import load_torch_classes, public_name

with warnings.catch_warnings():  # torch warns where NumPy is not installed
    warnings.filterwarnings("ignore", message="Failed to initialize NumPy", category=UserWarning)
    import torch

same_version = pytest.mark.skipif(
    torch.__version__.partition("+")[0] != load_torch_classes().version,
    reason=f"the table was made from torch {load_torch_classes().version}",
)


def classes_of_torch_nn() -> Iterator[tuple[str, type]]:
    """Every class that a module of torch.nn has under a name, apart from what torch.nn imports from elsewhere."""
    names = ["torch.nn", *(found.name for found in pkgutil.walk_packages(torch.nn.__path__, "torch.nn."))]
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of these modules are deprecated
            module = importlib.import_module(name)
        for attribute, value in vars(module).items():
            if isinstance(value, type) and value.__module__.startswith("torch.") and "._" not in name:
                yield f"{name}.{attribute}", value


@same_version
def test_every_module_class_of_torch_nn_is_in_the_table() -> None:
    expected = {name for name, value in classes_of_torch_nn() if issubclass(value, torch.nn.Module)}
    assert len(expected) > 300
    table = load_torch_classes()
    assert {name for name in expected if table.module_class(name) is None} == set()


@same_version
def test_no_other_class_of_torch_nn_is_called_a_module_class() -> None:
    others = {name for name, value in classes_of_torch_nn() if not issubclass(value, torch.nn.Module)}
    assert len(others) > 10
    table = load_torch_classes()
    assert {name for name in others if table.module_class(name)} == set()


def test_every_name_of_the_table_under_torch_nn_that_exists_is_a_module_class() -> None:
    existing = dict(classes_of_torch_nn())
    names = set(load_torch_classes().public_names) & set(existing)
    assert len(names) > 300
    assert {name for name in names if not issubclass(existing[name], torch.nn.Module)} == set()


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("torch.nn.Module", "torch.nn.Module"),
        ("torch.nn.modules.module.Module", "torch.nn.Module"),
        ("torch.nn.modules.linear.Linear", "torch.nn.Linear"),
        ("torch.nn.modules.batchnorm._BatchNorm", "torch.nn.modules.batchnorm._BatchNorm"),
        ("torch.jit.ScriptModule", "torch.jit.ScriptModule"),
        ("torch.nn.parallel.DistributedDataParallel", "torch.nn.parallel.DistributedDataParallel"),
        ("torch.nn.quantized.Linear", "torch.ao.nn.quantized.Linear"),
        ("torch.fx.GraphModule", "torch.fx.GraphModule"),
    ],
)
def test_a_module_class_is_known_by_its_names(name: str, public: str) -> None:
    assert load_torch_classes().module_class(name) == public


@pytest.mark.parametrize(
    "name",
    [
        "torch.utils.data.Dataset",
        "torch.autograd.Function",
        "torch.optim.Optimizer",
        # There is no other place from which to take it.
        "torch.utils._python_dispatch.TorchDispatchMode",
    ],
)
def test_another_class_of_torch_is_known_to_be_no_module_class(name: str) -> None:
    table = load_torch_classes()
    assert table.is_known(name)
    assert table.module_class(name) is None


def test_a_name_that_torch_lacks_is_not_known() -> None:
    table = load_torch_classes()
    assert not table.is_known("torch.nn.NoSuchLayer")
    # A private module imports it, and does not define it.
    assert not table.is_known("torch._higher_order_ops.utils.TorchDispatchMode")


def test_the_public_name_is_the_shortest_of_a_package_above_the_definition() -> None:
    names = ("torch.a.b.c.Net", "torch.a.Net", "torch.z.Net", "torch.a.Alias")
    assert public_name("torch.a.b.c.Net", names) == "torch.a.Net"
