"""What one file does as a program: optimisation loops, ways in from a command line, tests, loaders, kernels."""

import ast
import re
from collections.abc import Iterator

from audit.static.attention import attention_in
from audit.static.facts import BuildFact, EntryFact, FileFacts, NamedLine, TrainingFact
from audit.static.full_names import FullNames
from audit.static.lines import SourceLines
from audit.static.names import Bindings
from audit.static.scopes import dotted
from audit.static.tree import TreeIndex
from audit.static.words import Words

Function = ast.FunctionDef | ast.AsyncFunctionDef
MODULE = "<module>"

_BACKWARD = frozenset({"backward", "manual_backward"})
_FIT = frozenset({"fit", "train"})
# A trainer is told by where it comes from: `fit` alone is every estimator's.
_TRAINERS = re.compile(r"^(lightning|pytorch_lightning|transformers|trl|accelerate)\b.*\b\w*Trainer$")
_PARSERS = frozenset(
    {"argparse.ArgumentParser", "typer.Typer", "typer.run", "click.command", "click.group", "fire.Fire"}
)
_PARSERS |= {"hydra.main", "simple_parsing.ArgumentParser"}
_LOADERS = frozenset({"torch.utils.data.DataLoader", "torch.utils.data.dataloader.DataLoader"})
_LOADER_SUFFIX = re.compile(r"^torch_geometric\.(loader|data)\.\w*Loader$")
_KERNELS = frozenset({"triton.jit", "triton.runtime.jit"})
_BUILDERS = re.compile(
    r"^(torch\.utils\.cpp_extension\.(CUDAExtension|CppExtension|load|load_inline)|setuptools_rust\.RustExtension"
    r"|setuptools\.Extension|distutils\.core\.Extension|pybind11\.setup_helpers\.Pybind11Extension)$"
)
# Files without any of these words have none of the facts that need the walk over all nodes.
_HINTS = (
    *("backward(", "Trainer(", "__main__", "ArgumentParser", "typer", "click", "fire", "hydra", "Loader(", "triton"),
    *("Extension(", "load_inline", "cpp_extension"),
)

_VISITED = frozenset({ast.Call, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.Assign})


def facts_of(index: TreeIndex, text: str, *, path: str, bindings: Bindings, lines: SourceLines) -> FileFacts:
    """Return what the file does. Only the file's name is taken from `path`: pytest goes by it."""
    names = FullNames(bindings, importing=index.importing)
    attention = attention_in(index, text, names=names, lines=lines)
    tests = tuple(_tests(index.tree)) if is_test_file(path) else ()
    words = Words(text, index)
    if not any(hint in words for hint in _HINTS):
        return FileFacts(attention=attention, tests=tests)
    walk = _Walk(names, index, loops="backward" in text)
    walk.run()
    trains = bool(walk.training)
    return FileFacts(
        attention=attention,
        training=tuple(walk.training),
        entries=tuple(walk.entries),
        calls=tuple(sorted(walk.calls)) if trains else (),
        methods=tuple(sorted(walk.methods)) if trains else (),
        loaders=tuple(walk.loaders),
        tests=tests,
        kernels=tuple(walk.kernels),
        builds=tuple(walk.builds),
    )


def is_test_file(path: str) -> bool:
    """Return whether pytest collects the file by its name, as it does without configuration."""
    name = path.rpartition("/")[2]
    return name.startswith("test_") or name.endswith("_test.py")


def _tests(tree: ast.Module) -> Iterator[str]:
    """Yield the functions and methods that pytest would collect, and those of `unittest` cases."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test"):
                yield name
            case ast.ClassDef(name=name, bases=bases) if name.startswith("Test") or any(
                dotted(base).endswith("TestCase") for base in bases
            ):
                for inner in node.body:
                    if isinstance(inner, Function) and inner.name.startswith("test"):
                        yield f"{name}.{inner.name}"


class _Walk:
    """One visit of all nodes, which knows the function it is in."""

    def __init__(self, names: FullNames, index: TreeIndex, *, loops: bool) -> None:
        self.training: list[TrainingFact] = []
        self.entries: list[EntryFact] = []
        self.loaders: list[NamedLine] = []
        self.kernels: list[NamedLine] = []
        self.builds: list[BuildFact] = []
        self.calls: set[str] = set()
        self.methods: set[str] = set()
        self._names = names
        self._index = index
        self._has_loops = loops
        self._scope: list[str] = []
        self._trainers: dict[str, str] = {}  # variables and attributes that hold a trainer, by their dotted name

    def run(self) -> None:
        """Visit everything."""
        tree = self._index.tree
        self._loop([each for each in tree.body if not isinstance(each, Function | ast.ClassDef)])
        self._below(tree)

    def _below(self, node: ast.AST) -> None:
        for each in self._index.own(node):
            if each.__class__ not in _VISITED:  # most nodes, which would be tried against every pattern
                continue
            match each:
                case ast.Call():
                    self._call(each)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self._function(each)
                case ast.ClassDef(name=name):
                    self._scope.append(name)
                    self._below(each)
                    self._scope.pop()
                case ast.Lambda():
                    self._below(each)
                case ast.If(test=test):
                    self._guard(test, each.lineno)
                case ast.Assign(targets=[target], value=ast.Call(func=function)):
                    if _TRAINERS.search(self._names.of(function)):
                        self._trainers[dotted(target)] = self._names.of(function)

    def _guard(self, test: ast.expr, line: int) -> None:
        match test:
            case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
                if not self._scope and {_word(left), _word(right)} == {"__name__", "__main__"}:
                    self.entries.append(EntryFact(line, "__main__"))

    def _call(self, node: ast.Call) -> None:
        full = self._names.of(node.func)
        if full:
            self.calls.add(full)
            self._called(full, node)
        if isinstance(node.func, ast.Attribute):
            self.methods.add(node.func.attr)
            owner = node.func.value
            built = self._names.of(owner.func) if isinstance(owner, ast.Call) else self._trainers.get(dotted(owner), "")
            if node.func.attr in _FIT and _TRAINERS.search(built):
                self.training.append(TrainingFact(self._place(), node.lineno, built))

    def _called(self, full: str, node: ast.Call) -> None:
        line = node.lineno
        if full in _PARSERS:
            self.entries.append(EntryFact(line, full))
        if full[0] == ".":  # the file's own, which none of the names below are
            return
        if full in _LOADERS or _LOADER_SUFFIX.search(full):
            self.loaders.append(NamedLine(self._place(), line))
        if _BUILDERS.search(full):
            named = [word.value for word in node.keywords if word.arg in ("name", "target")]
            self.builds.append(BuildFact(_word([*named, *node.args][0]) if named or node.args else "", full, line))

    def _function(self, node: Function) -> None:
        outside = self._names
        for decorator in node.decorator_list:
            made_by = decorator.func if isinstance(decorator, ast.Call) else decorator
            full = outside.of(made_by)
            if full in _KERNELS:
                self.kernels.append(NamedLine(".".join([*self._scope, node.name]), node.lineno))
            elif full in _PARSERS and not isinstance(decorator, ast.Call):
                self.entries.append(EntryFact(node.lineno, full))
        self._names = outside.within(node)
        self._scope.append(node.name)
        self._loop(node.body)
        self._below(node)
        self._scope.pop()
        self._names = outside

    def _loop(self, body: list[ast.stmt]) -> None:
        """Record the function, or the module's own statements, where both `backward` and `step` are called."""
        if not self._has_loops:
            return
        called: dict[str, int] = {}
        # A function in a function is a closure of the same loop; one in a class is not.
        statements = [each for each in body if not isinstance(each, ast.ClassDef)]
        for each in (each for statement in statements for each in self._index.in_functions(statement)):
            if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute):
                called.setdefault(each.func.attr, each.lineno)
        backward = [called[name] for name in _BACKWARD if name in called]
        if backward and "step" in called:
            self.training.append(TrainingFact(self._place(), min(backward), "loop"))

    def _place(self) -> str:
        return ".".join(self._scope) or MODULE


def _word(expression: ast.expr) -> str:
    match expression:
        case ast.Constant(value=str(word)):
            return word
        case ast.Name(id="__name__"):
            return "__name__"
    return ""
