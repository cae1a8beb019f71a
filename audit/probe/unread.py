"""Parameters that no gradient reaches: used all the same, used by other calls, or by none."""

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator

import torch

# These give a parameter its first value, and compute no output.
_INITIAL = {"__init__", "reset_parameters", "_reset_parameters", "init_weights", "_init_weights", "extra_repr"}
# With these a parameter can be reached without its name.
_NAMELESS = {"getattr", "children", "named_children", "modules", "named_modules", "parameters", "_modules", "__dict__"}


def moving(names: Iterable[str], module: torch.nn.Module | None, output: Callable[[], object]) -> list[str]:
    """Return those of the parameters that the output depends on.

    Args:
        names: as in the state dict.
        module: that has them; a function has none.
        output: makes the same call again.
    """
    parameters = dict(module.named_parameters()) if module is not None else {}
    found = []
    with torch.no_grad():
        for name in sorted(set(names) & parameters.keys()):
            before, own = output(), parameters[name].clone()
            parameters[name].add_(1.0)
            after = output()
            parameters[name].copy_(own)
            same = isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor) and torch.equal(before, after)
            found += [] if same else [name]
    return found


def among(names: Iterable[str], module: torch.nn.Module | None) -> list[str]:
    """Return those of the parameters that no method of the module that holds them reads.

    Args:
        names: as in the state dict.
        module: that has them; a function has none.
    """
    return sorted(name for name in names if name and module is not None and _is_unread(name, module))


def _is_unread(name: str, module: torch.nn.Module) -> bool:
    holder, attribute = module, name
    parts = name.split(".")
    for index, part in enumerate(parts):
        # torch's own layers read their weights; what counts is who reads the layer.
        if not type(holder).__module__.startswith("torch.nn."):
            owner, attribute = holder, part
        if index < len(parts) - 1:
            holder = holder.get_submodule(part)
    if type(module).__module__.startswith("torch.nn."):
        return False
    read = set(_read(owner))
    return attribute not in read and not read & _NAMELESS


def _read(owner: torch.nn.Module) -> Iterator[str]:
    """Yield every name that is read in the files of the owner's classes, but for what only sets first values."""
    for each in type(owner).__mro__:
        if each.__module__.split(".")[0] in ("torch", "builtins"):
            continue
        try:
            tree = ast.parse(inspect.getsource(inspect.getmodule(each) or each))
        except (OSError, TypeError, SyntaxError):  # no source to read: whatever it reads, it may read this
            yield from _NAMELESS
            return
        pending: list[ast.AST] = [tree]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.FunctionDef) and node.name in _INITIAL:
                continue
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                yield node.attr
            elif isinstance(node, ast.Name):
                yield node.id
            pending += ast.iter_child_nodes(node)
