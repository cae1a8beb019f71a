"""Which layer of a model takes each argument of its forward first, as its source tells."""

import ast
from collections.abc import Iterator

from torch import nn

from .reading import read

_DEEPEST = 4  # parts within parts


def first_layers(model: nn.Module, depth: int = 0) -> dict[str, nn.Module]:
    """Return, by the names of arguments, the layers that they are handed to as they are: `self.embed(tokens)`.

    A part that is made of others is followed to its own first layer.
    """
    forward = read(type(model)).forward
    found: dict[str, nn.Module] = {}
    for name, path in _handed_on(forward) if forward else ():
        part = _part(model, path)
        layer = None if part is None else _first_of(part, depth)
        if layer is not None:
            found.setdefault(name, layer)
    return found


def _handed_on(forward: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Yield each argument that a call of a part is given first, with the path of the part, in the order of lines."""
    own = {each.arg for each in (*forward.args.posonlyargs, *forward.args.args, *forward.args.kwonlyargs)}
    calls = [node for node in ast.walk(forward) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        match call.args[:1]:
            # `self.embed(tokens.long())` is given the argument in another dtype.
            case [ast.Name(id=name) | ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="long" | "int"))]:
                called = ast.unparse(call.func)
                if name in own and called.startswith("self."):
                    yield name, called.removeprefix("self.")


def _part(model: nn.Module, path: str) -> nn.Module | None:
    try:
        return model.get_submodule(path)
    except AttributeError:  # a method, or what is no module
        return None


def _first_of(part: nn.Module, depth: int) -> nn.Module | None:
    if not any(part.children()):
        return part
    if isinstance(part, nn.Sequential):
        return _first_of(part[0], depth)
    if depth >= _DEEPEST or isinstance(part, nn.ModuleList | nn.ModuleDict):
        return None
    within = first_layers(part, depth + 1)
    forward = read(type(part)).forward
    names = [each.arg for each in forward.args.args[1:2]] if forward else []
    return within.get(names[0]) if names else None
