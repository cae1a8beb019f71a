from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.analysis import analyse
from audit.static.graph import DefinitionKind, ProjectGraph

Tree = Callable[[Mapping[str, str | bytes]], Path]


@pytest.fixture
def graph(tree: Tree) -> ProjectGraph:
    root = tree(
        {
            "pkg/__init__.py": "from .layers import Block\nfrom . import layers\n",
            "pkg/layers.py": "import torch\nimport numpy as np\nclass Block(torch.nn.Module):\n    class Part: ...\n",
            "pkg/either.py": "if x:\n    from .layers import Block as B\nelse:\n    from torch.nn import Linear as B\n",
        }
    )
    analysis = analyse(root, root)
    return ProjectGraph(analysis.records.by_path("names"), analysis.files)


@pytest.mark.parametrize(
    ("module", "name", "kind", "found"),
    [
        ("pkg", "Block", DefinitionKind.TARGET_CLASS, "pkg.layers.Block"),
        ("pkg", "layers.Block.Part", DefinitionKind.TARGET_CLASS, "pkg.layers.Block.Part"),
        ("pkg", "layers", DefinitionKind.TARGET_MODULE, "pkg.layers"),
        ("pkg.layers", "torch.nn.modules.linear.Linear", DefinitionKind.TORCH_MODULE_CLASS, "torch.nn.Linear"),
        ("pkg.layers", "torch.utils.data.Dataset", DefinitionKind.OTHER, "torch.utils.data.Dataset"),
        ("pkg.layers", "np.ndarray", DefinitionKind.UNRESOLVED, "numpy.ndarray"),
        ("pkg.layers", "object", DefinitionKind.OTHER, "builtins.object"),
        ("pkg.layers", "missing", DefinitionKind.UNRESOLVED, "missing"),
        ("elsewhere", "pkg.layers.Block", DefinitionKind.TARGET_CLASS, "pkg.layers.Block"),
    ],
)
def test_a_name_resolves_as_its_module_sees_it(
    graph: ProjectGraph, module: str, name: str, kind: DefinitionKind, found: str
) -> None:
    (definition,) = graph.resolve(name, module=module)
    assert (definition.kind, definition.name) == (kind, found)


def test_a_name_bound_in_two_branches_resolves_to_both(graph: ProjectGraph) -> None:
    assert {found.name for found in graph.resolve("B", module="pkg.either")} == {"pkg.layers.Block", "torch.nn.Linear"}


def test_a_class_is_found_again_by_its_definition(graph: ProjectGraph) -> None:
    (definition,) = graph.resolve("Block", module="pkg")
    assert graph.class_at(definition).line == 3
