"""Parameters that no gradient reaches: used all the same, used by other calls, or by none."""

import ast
import inspect
import types
from collections.abc import Callable, Hashable, Iterable
from functools import cache

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
    read = _read(type(owner))  # type: ignore[arg-type]  # torch's stub of `__hash__` is none of a class
    return attribute not in read and not read & _NAMELESS


@cache  # a property asks for each parameter, and several properties do
def _read(owner: Hashable) -> frozenset[str]:
    """Return every name that is read in the files of a class and its bases, but for what only sets first values."""
    assert isinstance(owner, type)
    found: set[str] = set()
    for each in owner.__mro__:
        if each.__module__.split(".")[0] in ("torch", "builtins"):
            continue
        try:
            found |= _names_read(inspect.getmodule(each) or each)
        except (OSError, TypeError, SyntaxError):  # no source to read: whatever it reads, it may read this
            return frozenset(found | _NAMELESS)
    return frozenset(found)


def _used(function: ast.FunctionDef) -> list[ast.AST]:
    """Return the parts of a function but for what is put into a local name that nothing in it reads."""
    read = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    shares = any(isinstance(node, ast.Nonlocal | ast.Global) for node in ast.walk(function))
    if shares or read & {"locals", "eval", "exec"}:
        return list(ast.iter_child_nodes(function))
    parts: list[ast.AST] = [function.args, *function.decorator_list]
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if name not in read:
                continue
            case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try():
                pending += ast.iter_child_nodes(node)
            case _:
                parts.append(node)
    return parts


def _names_read(defined_in: types.ModuleType | type) -> frozenset[str]:
    found = set()
    pending: list[ast.AST] = [ast.parse(inspect.getsource(defined_in))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef) and node.name in _INITIAL:
            continue
        if isinstance(node, ast.FunctionDef):
            pending += _used(node)
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        pending += ast.iter_child_nodes(node)
    return frozenset(found)
