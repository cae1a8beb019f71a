"""Whether a class or function of a file holds no attention, as its source says: nothing in it multiplies matrices.

Attention is a product of queries and keys, or a layer or function that makes one. What comes from another file, or is
handed over by whoever builds it, may hold some; then nothing is said.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from audit.static.attention_flow import PRODUCTS
from audit.static.reading import tree_of

_ATTENDING = re.compile(
    r"atten|attn|transformer|multi_?head|sdpa|scaled_dot|softmax|logsumexp|flash|cumsum|tensordot", re.IGNORECASE
)
_KNOWN = frozenset({"torch", "numpy", *sys.stdlib_module_names})  # their layers that attend are called so
# What looks a name up while it runs may find anything.
_OPEN = frozenset({
    "getattr", "eval", "exec", "globals", "vars", "__import__", "import_module", "attrgetter", "methodcaller",
    "__dict__", "__subclasses__", "__matmul__", "add_module", "register_module",
})  # fmt: skip
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = _Function | ast.ClassDef


def holds_no_attention(path: Path, qualname: str) -> bool:
    """Return whether the definition, and what it uses of its file, computes no attention; False is not known."""
    tree = tree_of(path)
    found = _defined(tree.body, qualname.split(".")) if tree else None
    if tree is None or found is None:
        return False
    here = _Names(tree)
    if "*" in here.elsewhere:
        return False
    seen: set[int] = set()
    left: list[ast.AST] = [found, *here.nodes.get(qualname.partition(".")[0], ())]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if _may_attend(node):
            return False
        for name in _used(node):
            if name in here.elsewhere:
                return False
            left += here.nodes.get(name, ())
    return True


class _Names:
    """What the names of a file stand for: the nodes that define them there; `elsewhere` are those of other packages."""

    def __init__(self, tree: ast.Module) -> None:
        self.nodes: dict[str, list[ast.AST]] = {}
        self.elsewhere: set[str] = set()
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    self.nodes.setdefault(name, []).append(node)
                case ast.Import(names=aliases):
                    self._imported({alias.asname or alias.name.partition(".")[0]: alias.name for alias in aliases})
                case ast.ImportFrom(module=module, names=aliases, level=level):
                    origin = "." * level + (module or "")
                    self._imported({alias.asname or alias.name: f"{origin}.{alias.name}" for alias in aliases})
        for node in ast.walk(tree):  # at the end of the file too, or in a branch: `Layer.forward = patched`
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                for name in _assigned(node):
                    self.nodes.setdefault(name, []).append(node)

    def _imported(self, names: Mapping[str, str]) -> None:
        self.elsewhere |= {
            name
            for name, full in names.items()
            if full.partition(".")[0] not in _KNOWN
            or _ATTENDING.search(full)
            or full.rpartition(".")[2] in PRODUCTS
            or name == "*"
        }


def _assigned(statement: ast.stmt) -> Iterator[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    yield from (node.id for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name))


def _defined(body: Sequence[ast.stmt], names: Sequence[str]) -> _Definition | None:
    """Return the last definition of this qualified name; None where there is none."""
    found: _Definition | None = None
    for name in names:
        inner = [node for node in body if isinstance(node, _Definition) and node.name == name]
        if not inner:
            return None
        found = inner[-1]
        body = found.body
    return found


def _used(node: ast.AST) -> Iterator[str]:
    yield from (each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def _may_attend(node: ast.AST) -> bool:
    """Whether something in it multiplies matrices, has a name of attention, or is handed over and called."""
    given = {
        argument: default
        for function in ast.walk(node)
        if isinstance(function, _Function)
        for argument, default in _arguments(function)
    }
    given.pop("self", None)
    for each in ast.walk(node):
        match each:
            case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.ClassDef(name=name):
                if name in PRODUCTS or name in _OPEN or _ATTENDING.search(name):
                    return True
            case ast.Call(func=ast.Name(id=name)) if name in given and not _is_of_torch(given[name]):
                return True
            case ast.Call(func=ast.Attribute(attr="Sequential" | "ModuleList" | "ModuleDict"), args=args):
                if any(name in given for argument in args for name in _passed_on(argument)):
                    return True
            case (
                ast.Assign(
                    targets=[ast.Attribute(value=ast.Name(id="self"), attr=attribute)], value=ast.expr() as value
                )
                | ast.AnnAssign(
                    target=ast.Attribute(value=ast.Name(id="self"), attr=attribute), value=ast.expr() as value
                )
            ):
                if any(name in given for name in _passed_on(value)) and _is_called(node, attribute):
                    return True
    return False


def _passed_on(value: ast.expr) -> Iterator[str]:
    """Yield the names of which an expression is one, as it is: `layer`, `layer or nn.Identity()`."""
    match value:
        case ast.Name(id=name) | ast.Starred(value=ast.Name(id=name)):
            yield name
        case ast.IfExp(body=first, orelse=second):
            yield from (*_passed_on(first), *_passed_on(second))
        case ast.BoolOp(values=values):
            yield from (name for each in values for name in _passed_on(each))


def _arguments(function: _Function) -> Iterator[tuple[str, ast.expr | None]]:
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(plain, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    yield from ((argument.arg, default) for argument, default in pairs)


def _is_of_torch(default: ast.expr | None) -> bool:
    """Whether a default is a layer of torch, as `nn.GELU`, which others take the place of at most with the like."""
    return default is not None and ast.unparse(default).startswith(("nn.", "torch.nn."))


def _is_called(node: ast.AST, attribute: str) -> bool:
    """Whether an attribute of this name is called somewhere."""
    return any(
        isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == attribute
        for call in ast.walk(node)
    )
