"""What the source of a class or function says of its arguments: options, unpacked shapes, documentation."""

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

from .overriding import without_overridden

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
# `x: (B, N, C)`, `x (torch.Tensor): shape [batch, seq, dim]`: a name, and on its line the first group of axes.
_AXES = re.compile(r"[\[(]\s*((?:[A-Za-z_0-9*/ .-]+,\s*){1,4}[A-Za-z_0-9*/ .-]+)\s*[\])]")
_AXES_TIMES = re.compile(r"[\[(]\s*(\w+(?:\s+[xX]\s+\w+){1,4})\s*[\])]")  # `[length x batch x channels]`
_NO_OPTIONS = {"int", "float", "bool", "str", "None", "True", "False", "list", "tuple", "dict", "optional"}
_FOREIGN = ("torch", "typing", "abc", "builtins")
_MOST_HELPERS = 40
# `x: (B, N, C); mask: bool (B, N, N)` on one line: what follows the semicolon is another argument's.
_NEXT = re.compile(
    r";[ \t]+(?=`?(?!(?:True|False|None)\b)[A-Za-z_]\w*`?(?:: |, (?:optional|bool|float|long|int|tensor)\b| \())",
    re.IGNORECASE,
)
_MANY = 8  # options of one argument; more is a table of names and no choice of mechanism


@dataclass(frozen=True)
class Source:
    """The text of a class with its bases up to torch's, less what it overrides there, or of a function.

    `forward` is the tree of what is called; `trees` are those of every class or the function. `helpers` is the text of
    the functions of their files that they call, and that those call.
    """

    text: str
    documentation: str
    forward: ast.FunctionDef | None
    trees: tuple[ast.AST, ...] = field(default=())
    helpers: str = ""

    @property
    def code(self) -> str:
        """All that is carried out when it is called, as far as it has a source."""
        return f"{self.text}\n{self.helpers}"


def read(value: object) -> Source:
    """Return what can be read of a class or function; nothing of what has no source."""
    if isinstance(value, type):
        classes = [each for each in value.__mro__ if not _is_foreign(each)]
        kept = without_overridden(classes, [_text(each) for each in classes])
        texts = [text for text, _ in kept]
        called: list[object] = [
            each
            for kind, (_, overridden) in zip(classes, kept, strict=True)
            for name, each in vars(kind).items()
            if name not in overridden
        ]
        forward = getattr(value, "forward", None)
        documented = [*classes, getattr(value, "__init__", None), forward]
    else:
        texts, forward, documented, called = [_text(value)], value, [value], []
    trees = [tree for tree in map(_parsed, texts) if tree is not None]
    own = _parsed(_text(forward))
    function = next((n for n in ast.walk(own) if isinstance(n, ast.FunctionDef)), None) if own else None
    docs = [unfolded(str(each.__doc__)) for each in documented if isinstance(getattr(each, "__doc__", None), str)]
    helpers = _text_of_helpers(called or [value])
    return Source("\n".join(texts), "\n".join(map(str, docs)), function, tuple(trees), helpers)


def unfolded(document: str) -> str:
    """Return a docstring in which each argument that is told of begins a line, as deep as the one before it."""
    lines: list[str] = []
    for line in document.splitlines():
        first, *rest = _NEXT.split(line)
        lines += [first, *(line[: len(line) - len(line.lstrip())] + part for part in rest)]
    return "\n".join(lines)


def _is_foreign(value: type) -> bool:
    return value is object or value.__module__.partition(".")[0] in _FOREIGN


def _text_of_helpers(callers: Iterable[object]) -> str:
    """Return the text of the functions that `callers` name, that those name, and so on, but for torch's."""
    found: dict[types.FunctionType, str] = {}
    left = [each for each in map(_function, callers) if each]
    while left and len(found) < _MOST_HELPERS:
        caller = left.pop()
        for name in _names_in(caller.__code__):
            helper = _function(caller.__globals__.get(name))
            if helper and helper not in found and helper.__module__.partition(".")[0] not in _FOREIGN:
                found[helper] = _text(helper)
                left.append(helper)
    return "\n".join(found.values())


def _function(value: object) -> types.FunctionType | None:
    inner = (
        inspect.unwrap(value) if callable(value) else getattr(value, "fget", None) or getattr(value, "__func__", None)
    )
    return inner if isinstance(inner, types.FunctionType) else None


def _names_in(code: types.CodeType) -> Iterator[str]:
    """Yield the names that a function uses, and those that the functions defined in it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)


def _text(value: object) -> str:
    try:
        return textwrap.dedent(inspect.getsource(inspect.unwrap(value) if callable(value) else value))  # type: ignore[arg-type]
    except (OSError, TypeError, ValueError):
        return ""


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text) if text else None
    except (SyntaxError, ValueError):
        return None


def unpacked(source: Source) -> dict[str, list[tuple[str, ...]]]:
    """Return the names of axes that `a, b, c = x.shape`, `x.size()` and einops patterns give, by variable."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for node in ast.walk(source.forward) if source.forward else ():
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=axes)], value=value) if target := _whose_shape(value):
                names = tuple(axis.id for axis in axes if isinstance(axis, ast.Name))
                if len(names) == len(axes):
                    found.setdefault(target, []).append(names)
            case ast.Call(args=[ast.Name(id=name), ast.Constant(value=str(pattern)), *_]) if "->" in pattern:
                axes_text = re.sub(r"\([^)]*\)", "packed", pattern.partition("->")[0])
                found.setdefault(name, []).append(tuple(axes_text.split()))
    return found


def _whose_shape(value: ast.expr) -> str | None:
    match value:
        case ast.Attribute(value=ast.Name(id=name), attr="shape"):
            return name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="size"), args=[]):
            return name
    return None


def documented_axes(source: Source, name: str) -> tuple[str, ...] | None:
    """Return the axes that the documentation gives for an argument: `x: (batch, seq, dim)`."""
    for line in source.documentation.splitlines():
        head, found, rest = line.partition(name)
        if not found or head.strip(" `*-:") or re.match(r"\w", rest):
            continue
        for match in (*_AXES.finditer(rest), *_AXES_TIMES.finditer(rest)):
            axes = tuple(axis.split("=")[0].strip() for axis in re.split(r",|\s[xX]\s", match.group(1)))
            if not any(axis.startswith(("torch", "optional", "default", "Tensor", "FloatTensor")) for axis in axes):
                return axes
    return None


def sentences(source: Source, name: str) -> str:
    """Return the lines of the documentation that begin with an argument's name, each with the two after it."""
    lines = source.documentation.splitlines()
    found = [
        " ".join(line.strip() for line in lines[i : i + 3])
        for i, line in enumerate(lines)
        if re.match(rf"[\s`*:-]*(?:param\s+)?{re.escape(name)}\b", line)
    ]
    return " ".join(found)


def keys_read(source: Source, name: str) -> tuple[str, ...]:
    """Return the keys that are read of an argument that is a dict, in order: `name["x"]`."""
    found: dict[str, None] = {}
    for node in ast.walk(source.forward) if source.forward else ():
        match node:
            case ast.Subscript(value=ast.Name(id=base), slice=ast.Constant(value=str(key))) if base == name:
                found[key] = None
    return tuple(found)


def string_options(
    source: Source, name: str, annotation: object, namespace: Mapping[str, object], *, is_text: bool
) -> tuple[str, ...]:
    """Return the values that a text argument may have, from its annotation, tests and tables in the source.

    The documentation is asked last, and only of what is known to be a text (`is_text`), for it quotes types as well.
    """
    found: dict[str, None] = {}
    for text in re.findall(r"Literal\[([^\]]*)\]", str(annotation)):
        found |= dict.fromkeys(re.findall(r"""['"]([^'"]+)['"]""", text))
    tables = _tables(source)
    for tree in source.trees:
        for node in ast.walk(tree):
            match node:
                case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[ast.Constant(value=str(value))]):
                    found |= {value: None} if _names(left, name) else {}
                case ast.Compare(
                    left=left, ops=[ast.In() | ast.NotIn()], comparators=[ast.Tuple() | ast.List() | ast.Set() as many]
                ):
                    if _names(left, name):
                        found |= {
                            e.value: None for e in many.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)
                        }
                case ast.Subscript(value=ast.Dict(keys=keys), slice=key) if _names(key, name):
                    found |= {k.value: None for k in keys if isinstance(k, ast.Constant) and isinstance(k.value, str)}
                case ast.Subscript(value=ast.Name(id=table), slice=key) if _names(key, name) and table in tables:
                    found |= dict.fromkeys(tables[table])
                case ast.Subscript(value=ast.Name(id=table), slice=key) if _names(key, name):
                    held = namespace.get(table)
                    found |= {k: None for k in held if isinstance(k, str)} if isinstance(held, dict) else {}
    if not found and is_text:
        line = sentences(source, name)
        quoted = re.findall(r"""['"`]{1,2}([A-Za-z0-9_.-]+)['"`]{1,2}\s*(?=[|/,]|or\b|\)|\.|$)""", line)
        words = [word for word in quoted if word not in _NO_OPTIONS and not word.startswith("torch.")]
        found |= dict.fromkeys(words if len(words) > 1 else [])
    return tuple(found)[:_MANY]


def _names(node: ast.expr, name: str) -> bool:
    match node:
        case ast.Name(id=found) | ast.Attribute(attr=found):
            return found == name
        case ast.Call(func=ast.Attribute(value=inner, attr="lower")):
            return _names(inner, name)
    return False


def _tables(source: Source) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for tree in source.trees:
        for node in ast.walk(tree):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(keys=keys)):
                    found[name] = [k.value for k in keys if isinstance(k, ast.Constant) and isinstance(k.value, str)]
    return found


def parameters_of(function: Callable[..., object]) -> list[inspect.Parameter]:
    """Return the parameters of a callable with annotations resolved where they can be."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception:  # an annotation names what is not there; the names of the arguments are enough
        signature = inspect.signature(function)
    return list(signature.parameters.values())


def is_module_class(value: object) -> bool:
    """Whether this is a class of modules."""
    return isinstance(value, type) and issubclass(value, torch.nn.Module)
