"""Stand-ins as text for a script: of their own source, the functions that a target names and what these need."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType

import audit.probe.branches_cuda as branches_cuda
from audit.probe.standins import exact, flash, flash3, flash_padding, flex, installing, paged, xformers, xformers_biases
from audit.probe.standins.installing import FLEX, modules_of
from audit.probe.standins.recorded import Record

_SOURCES: Mapping[str, tuple[ModuleType, ...]] = {
    "flash_attn": (flash, flash_padding, paged, exact),
    "flash_attn_interface": (flash3, flash, paged, exact),
    "xformers": (xformers, xformers_biases, exact),
    FLEX: (flex, exact),
}
_INSIDE = ("functions", "rotary")  # whose own functions are the library's
_IMPORTS = (
    ("import math", "math."),
    ("from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence", None),
    ("from dataclasses import dataclass", "@dataclass"),
    ("from types import SimpleNamespace", "SimpleNamespace("),
    ("from typing import Any, Self", None),
)
_INSTALLED = '''
@contextmanager
def stand_in():
    """Put the stand-in in the place of the library."""
    for name, held in MODULES.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, is_package=True)
        module.__path__ = []
        module.__version__ = VERSION
        module.__getattr__ = absent
        for each in held:
            setattr(module, each, globals()[each])
        sys.modules[name] = module
        above, _, own = name.rpartition(".")
        if above in MODULES:
            setattr(sys.modules[above], own, module)
    asked = importlib.metadata.version
    names = {DISTRIBUTION, DISTRIBUTION.replace("-", "_")}
    importlib.metadata.version = lambda name: VERSION if name in names else asked(name)
    try:
        yield
    finally:
        importlib.metadata.version = asked
        for name in MODULES:
            sys.modules.pop(name, None)


def absent(name):
    """Return what stands for a name of the library that this script has no stand-in for."""
    if name.startswith("__"):
        raise AttributeError(name)

    def refused(*args, **kwargs):
        raise NotImplementedError(f"the stand-in has no {name}")

    return refused
'''
_FLEX = '''
@contextmanager
def stand_in():
    """Put the stand-in in the place of torch's function, which is not compiled then."""
    from torch.nn.attention import flex_attention as library

    before, compiled = library.flex_attention, torch.compile
    library.flex_attention = flex_attention
    torch.compile = lambda model=None, *args, **kwargs: model if model is not None else lambda function: function
    try:
        yield
    finally:
        library.flex_attention, torch.compile = before, compiled
'''


def standin_text(library: str, source: str) -> str:
    """Return the lines of the context `stand_in()` for a library, as far as a source names its functions."""
    pieces = _pieces(library)
    if library == FLEX:
        text = _needed(["flex_attention"], pieces)
        return "\n\n".join(["from torch.nn.attention.flex_attention import AuxOutput", text, _FLEX.strip("\n")])
    exported = {name: sorted(_exported(module)) for name, module in modules_of(library, Record()).items()}
    named = {name for names in exported.values() for name in names if re.search(rf"\b{name}\b", source)}
    held = {name: [each for each in names if each in named and each in pieces] for name, names in exported.items()}
    text = _needed(sorted({each for names in held.values() for each in names}), pieces)
    version, distribution = installing.version_of(library), installing.distribution_of(library)
    constants = [f"VERSION, DISTRIBUTION = {version!r}, {distribution!r}", f"MODULES = {held!r}"]
    return "\n\n".join([text, "\n".join(constants), _INSTALLED.strip("\n")])


def pretended_text() -> str:
    """Return the lines of the context `pretended()`, in which torch answers as if there were a GPU."""
    pieces = dict(_top_level(installing)) | dict(_top_level(branches_cuda))
    return _needed(["pretended"], pieces)


def imports_text(text: str) -> str:
    """Return the imports that the texts of stand-ins need."""
    lines = []
    for line, mark in _IMPORTS:
        if mark is None:
            head, _, names = line.partition(" import ")
            used = [name for name in names.split(", ") if re.search(rf"\b{name}\b", text)]
            lines += [f"{head} import {', '.join(used)}"] if used else []
        elif mark in text:
            lines.append(line)
    return "\n".join(lines)


def _exported(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        if not name.startswith("__") and (inspect.isfunction(value) or inspect.isclass(value)):
            yield name


@cache
def _pieces(library: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    # What others are made of comes first; of two of one name, that of the library's own module counts.
    for module in reversed(_SOURCES[library]):
        found |= dict(_top_level(module))
    for module in reversed(_SOURCES[library]):
        found |= dict(_of_functions(module))
    return found


def _top_level(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield what a module defines, each with its text, without the names of the stand-ins' own modules before names."""
    source = inspect.getsource(module)
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, _text(source, node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, _text(source, node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, _text(source, node)


def _of_functions(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield the library's functions, which are made inside of one that is given the record of their calls."""
    source = inspect.getsource(module)
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name in _INSIDE:
            for each in node.body:
                if isinstance(each, ast.FunctionDef):
                    yield each.name, _text(source, each)


def _text(source: str, node: ast.stmt) -> str:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    lines = source.splitlines()[first - 1 : node.end_lineno]
    text = textwrap.dedent("\n".join(lines))
    return re.sub(r"\b(paged|flash_padding|flex)\.(?=[A-Za-z])", "", text)


def _needed(roots: list[str], pieces: Mapping[str, str]) -> str:
    """Return the texts of these names and of all that they need, in the order of the sources."""
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen or name not in pieces:
            return
        seen.add(name)
        tree = ast.parse(pieces[name])
        for each in ast.walk(tree):
            if isinstance(each, ast.Name) and each.id != name:
                visit(each.id)
            elif isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value in pieces:
                visit(each.value)  # the name of a class in an annotation

    for root in roots:
        visit(root)
    texts = [text for name, text in pieces.items() if name in seen]
    needs_record = any(re.search(r"\brecord\b", text) for text in texts)
    record = ["record = SimpleNamespace(accepts_float32=True)  # to compare without the rounding of a lower precision"]
    text = "\n\n\n".join((record if needs_record else []) + texts)
    return re.sub(r"\battend\(", "attend_exactly(", text)  # a script has an `attend` of its own, which calls the target
