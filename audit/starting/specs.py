"""The specs module that `init` writes: everything in it is a comment until its owner has decided.

An empty MODELS would say that the package has no models, and an entry with guessed inputs that they are right.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from audit.report.text import one_line
from audit.starting.entries import begun, named
from audit.starting.inputs import inputs_drawn
from audit.starting.training import training_lines
from audit.static.inventory import InventoryItem, InventoryKind
from audit.static.parameters import ParameterKind

_MOST_LISTED = 40
_HEAD = '''"""How the models and the attention of {package} are built and fed, and what they promise.

Read by `astrobio-audit smoke`, `attention`, `train` and `readiness` as soon as `specs` in the configuration names this
module. Nothing is declared yet: each line that begins with a number sign and a space is Python without these two. Keep
the entries that are to be audited, and fill in the dots.
"""
'''


def specs_text(package: str, items: Sequence[InventoryItem], root: Path) -> str:
    """Return the module for a package in which the inventory has found `items`, whose paths are relative to `root`."""
    scripts = [item for item in items if item.kind is InventoryKind.TRAINING_SCRIPT]
    items = [item for item in items if _is_reached(item)]
    attention = [item for item in items if item.kind is InventoryKind.ATTENTION]
    places = {(item.path, item.qualname) for item in attention}
    models = [item for item in items if item.kind is InventoryKind.MODEL and (item.path, item.qualname) not in places]
    data = [item for item in items if item.kind is InventoryKind.DATASET]
    code = [*_imports([*models[:_MOST_LISTED], *data[:_MOST_LISTED]]), "", *_models(package, models, root)]
    code += [*_attention(attention), *_data(data), *training_lines(models[:_MOST_LISTED], scripts, root)]
    return _HEAD.format(package=package) + "\n" + "".join(f"# {line}".rstrip() + "\n" for line in code)


def _is_reached(item: InventoryItem) -> bool:
    """Whether a name leads to it: a file's need not be a module's, and `make.<locals>.Set` stands in a function."""
    return all(part.isidentifier() for part in item.module.split(".")) and "<" not in item.qualname


def _imports(listed: Sequence[InventoryItem]) -> list[str]:
    modules = sorted({item.module for item in listed if item.module})
    return ["import torch", "", *(f"import {module}" for module in modules)]


def _models(package: str, models: Sequence[InventoryItem], root: Path) -> list[str]:
    lines = ["MODELS: dict[str, dict[str, object]] = {"]
    if models:
        lines.append("    # Printed with sizes and inputs that were tried, by: astrobio-audit spec FILE::NAME")
    taken: set[str] = set()
    for item in models[:_MOST_LISTED]:
        lines += _model(item, named(item, taken), root)
    if not models:
        lines += [f"    # No class of {package} was found to derive from torch.nn.Module."]
    if len(models) > _MOST_LISTED:
        lines += [f"    # {len(models) - _MOST_LISTED} more classes derive from torch.nn.Module; see the inventory."]
    return [*lines, "}"]


def _model(item: InventoryItem, name: str, root: Path) -> list[str]:
    return [
        *begun(item, name),
        f'        "build": lambda: {_built(item)},',
        f'        "inputs": lambda batch_size, generator: {inputs_drawn(item, root)},',
        '        "loss": lambda output, inputs: ...,  # decide: what it is trained to, of the output and these inputs',
        "    },",
    ]


def _built(item: InventoryItem) -> str:
    """Return the call of its class, with dots for what it has to be given, and for all where that is not told."""
    if item.constructor is None:
        return f"{item.module}.{item.qualname}(...)"
    required = [each for each in item.constructor.parameters if each.default is None]
    given = {ParameterKind.POSITIONAL_ONLY: "...", ParameterKind.POSITIONAL_OR_KEYWORD: "{}=..."}
    given[ParameterKind.KEYWORD_ONLY] = "{}=..."
    arguments = (given[each.kind].format(each.name) for each in required if each.kind in given)
    return f"{item.module}.{item.qualname}({', '.join(arguments)})"


def _place(item: InventoryItem) -> str:
    return one_line(shlex.quote(f"{item.path}::{item.qualname}"), limit=None)


def _attention(attention: Sequence[InventoryItem]) -> list[str]:
    lines = ["ATTENTION: dict[str, dict[str, object]] = {"]
    for item in attention[:_MOST_LISTED]:
        lines.append(f"    # Printed, with the functions it needs, by: astrobio-audit spec {_place(item)}")
    if not attention:
        lines.append("    # No class or function was found to compute attention; empty, this says that there is none.")
    if len(attention) > _MOST_LISTED:
        lines += [f"    # {len(attention) - _MOST_LISTED} more compute attention; see the inventory."]
    return [*lines, "}"]


def _data(sets: Sequence[InventoryItem]) -> list[str]:
    lines = ["DATA: dict[str, dict[str, object]] = {"]
    taken: set[str] = set()
    for item in sets[:_MOST_LISTED]:
        lines += [
            *begun(item, named(item, taken)),
            f'        "build": lambda: {_built(item)},  # decide: of which files',
            "    },",
        ]
    if not sets:
        lines.append(
            "    # No class was found to derive from torch.utils.data.Dataset; empty, this says there is none."
        )
    if len(sets) > _MOST_LISTED:
        lines += [f"    # {len(sets) - _MOST_LISTED} more classes derive from torch.utils.data.Dataset."]
    return [*lines, "}"]
