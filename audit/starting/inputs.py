"""The expressions that draw the arguments of a forward, for a specs module that is begun without importing anything."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from audit.starting.kinds import Kind, kind_of
from audit.static.inventory import InventoryItem
from audit.static.parameters import Parameter, ParameterKind

_EMBEDDINGS = {"Embedding", "EmbeddingBag"}
_DOTS = "..."
_PLAIN = {"int": "0", "float": "1.0", "bool": "False", "str": _DOTS}  # by annotation
_TENSOR = r"(torch\.)?(Long|Bool|Int|Float)?Tensor"
_LISTS = re.compile(rf"(typing\.)?(list|List|Sequence|Iterable|tuple|Tuple)\[{_TENSOR}(, \.\.\.|(, {_TENSOR})+)?\]")
_DICTS = re.compile(rf"(typing\.)?(dict|Dict|Mapping)\[str, {_TENSOR}\]")
_DEEPEST = 4  # parts within parts
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def inputs_drawn(item: InventoryItem, root: Path) -> str:
    """Return the dict of forward's arguments as Python; what its owner has to fill in is written as dots."""
    given = (
        [each for each in item.forward.parameters if each.kind is not ParameterKind.VAR_KEYWORD] if item.forward else []
    )
    parameters = [each for each in given if each.default is None] or given[:1]
    classes = _classes_in(root / item.path)
    defined = classes.get(item.qualname)
    tables = _fed_tables(defined, classes) if defined else {}
    document = _document(defined) if defined else []
    drawn = (f'"{each.name}": {_drawn(each, tables, document)}' for each in parameters)
    return "{" + (", ".join(drawn) or f'"{_DOTS}": torch.randn(batch_size, {_DOTS}, generator=generator)') + "}"


def _drawn(parameter: Parameter, tables: Mapping[str, str], document: list[str]) -> str:
    """Return what is drawn for an argument, in a list or dict where it is annotated as one of tensors."""
    one = _one_drawn(parameter, tables, document)
    if parameter.kind is ParameterKind.VAR_POSITIONAL or _LISTS.match(parameter.annotation or ""):
        return f"[{one}]"
    return f'{{"{_DOTS}": {one}}}' if _DICTS.match(parameter.annotation or "") else one


def _one_drawn(parameter: Parameter, tables: Mapping[str, str], document: list[str]) -> str:
    name = parameter.name
    if parameter.annotation in _PLAIN:
        return _PLAIN[parameter.annotation]
    begins = re.compile(rf"[\s`*:-]*(?:param\s+)?{re.escape(name)}\b")
    said = next((line for line in document if begins.match(line)), "")
    kind = Kind.WHOLE if name in tables else kind_of(name, f"{parameter.annotation or ''} {said}")
    return {
        Kind.NORMAL: f"torch.randn(batch_size, {_DOTS}, generator=generator)",
        Kind.WHOLE: f"torch.randint({tables.get(name, _DOTS)}, (batch_size, {_DOTS}), generator=generator)",
        Kind.TIMES: "torch.rand(batch_size, generator=generator)",
        Kind.MASK: f"torch.ones(batch_size, {_DOTS}, dtype=torch.bool)",
        Kind.LENGTHS: f"torch.full((batch_size,), {_DOTS})",
        Kind.POSITIONS: f"torch.arange({_DOTS}).expand(batch_size, -1).clone()",
    }[kind]


def _classes_in(path: Path) -> dict[str, ast.ClassDef]:
    """Return the classes of a file by their qualified names; none where it says no more what the inventory has read."""
    try:
        waiting = [("", node) for node in ast.parse(path.read_bytes()).body]
    except (OSError, SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[str, ast.ClassDef] = {}
    for around, node in waiting:
        if isinstance(node, ast.ClassDef):
            found[around + node.name] = node
            waiting += [(f"{around}{node.name}.", inner) for inner in node.body]
    return found


def _function(defined: ast.ClassDef, name: str) -> _Function | None:
    return next((node for node in defined.body if isinstance(node, _Function) and node.name == name), None)


def _document(defined: ast.ClassDef) -> list[str]:
    nodes = (defined, _function(defined, "__init__"), _function(defined, "forward"))
    return [line for node in nodes if node for line in (ast.get_docstring(node) or "").splitlines()]


def _fed_tables(defined: ast.ClassDef, classes: Mapping[str, ast.ClassDef], depth: int = 0) -> dict[str, str]:
    """Return the arguments of forward that an embedding is called with, each with its number of rows, or dots.

    A part whose class stands in the same file is an embedding where its own first argument is.
    """
    built, forward = _function(defined, "__init__"), _function(defined, "forward")
    rows: dict[str, str] = {}
    for node in ast.walk(built) if built else ():
        for target, value in _assigned(node):
            match target, value:
                case ast.Attribute(value=ast.Name(id="self"), attr=name), ast.Call(func=called):
                    part = classes.get(ast.unparse(called))
                    if ast.unparse(called).rpartition(".")[2] in _EMBEDDINGS:
                        rows[name] = _number_in(value)
                    elif part and depth < _DEEPEST and _first_argument(part) in _fed_tables(part, classes, depth + 1):
                        rows[name] = _DOTS
    return {argument: rows[table] for argument, table in _looked_up(forward) if table in rows} if forward else {}


def _first_argument(defined: ast.ClassDef) -> str | None:
    forward = _function(defined, "forward")
    return next((each.arg for each in forward.args.args[1:]), None) if forward else None


def _assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            yield from zip(targets, values, strict=False)
        case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
            yield target, value


def _number_in(made: ast.Call) -> str:
    """Return the number of rows of an embedding where it is written out; dots else."""
    named = [each.value for each in made.keywords if each.arg == "num_embeddings"]
    match [*made.args[:1], *named]:
        case [ast.Constant(value=int(number)), *_]:
            return str(number)
    return _DOTS


def _looked_up(forward: _Function) -> Iterator[tuple[str, str]]:
    """Yield each `self.table(argument)` of a forward, `self.table(argument.long())` too."""
    for node in ast.walk(forward):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="self"), attr=table),
                args=[
                    ast.Name(id=argument)
                    | ast.Call(func=ast.Attribute(value=ast.Name(id=argument), attr="long" | "int")),
                    *_,
                ],
            ):
                yield argument, table
