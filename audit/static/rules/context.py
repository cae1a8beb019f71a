"""What a rule can ask about the file that it judges."""

import ast
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property

from audit.static.rules.imports import ImportTable
from audit.static.rules.last_binding import last_binding
from audit.static.rules.syntax import Function, Loop, parameters, self_attribute, statements_before
from audit.static.torch_classes import load_torch_classes
from audit.static.tree import TreeIndex
from audit.static.words import Words

_VERSION_TEST = re.compile(
    r"version|hasattr|_available|torch_\d|is_torch|_has_|\bhas_|_lt_|_ge_|_gt_|_le_|greater|_\d+_\d+\b", re.IGNORECASE
)
_BEHIND_QUOTE = re.compile(r"[\"'](\w+)")
_BEFORE_QUOTE = re.compile(r"\.(\w+)'")
_IMPORT_FAILURES = frozenset({"ImportError", "ModuleNotFoundError", "AttributeError", "Exception", "BaseException"})
_BINDING_FIELDS: dict[type[ast.AST], str] = {
    ast.arg: "arg",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ClassDef: "name",
    ast.ExceptHandler: "name",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
    ast.MatchMapping: "rest",
}
_BINDING = frozenset({ast.Assign, ast.AnnAssign, ast.Name})
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
MAX_STEPS = 8  # assignments followed from a name to its value

Assignments = Mapping[str, list[ast.expr | None]]


class FileContext:
    """One file, its imports, and which of its classes are models."""

    def __init__(self, path: str, index: TreeIndex, *, model_lines: Container[int], text: str) -> None:
        """Look at nothing yet.

        Args:
            path: of the file, relative to the root.
            index: its syntax tree.
            model_lines: the lines of the `class` keywords of its subclasses of `torch.nn.Module`.
            text: the file's text.
        """
        self.path = path
        self.text = text
        self.index = index
        self.words = Words(text, index)
        self._model_lines = model_lines
        self._mentioned: dict[str, bool] = {}
        self._resolved: dict[ast.AST, str] = {}
        self._assignments: dict[ast.AST, Assignments] = {}
        self._sources: dict[ast.AST, str] = {}

    @cached_property
    def imports(self) -> ImportTable:
        """The names that the file imports."""
        return ImportTable(self.index)

    @cached_property
    def is_test(self) -> bool:
        """Whether pytest or unittest would look for tests in the file, by its name."""
        name = self.path.rpartition("/")[2]
        return name.startswith("test_") or name.endswith("_test.py")

    def belongs_to(self, library: str) -> bool:
        """Return whether the file is part of `library` itself, whose own use of its names is no finding."""
        return self.path.partition("/")[0] == library

    def mentions(self, word: str) -> bool:
        """Return whether the file's text holds `word`, be it in a comment; each is looked for once."""
        if word not in self._mentioned:
            self._mentioned[word] = word in self.text
        return self._mentioned[word]

    def is_quoted(self, name: str) -> bool:
        """Return whether the text holds the name behind a quote, or between a dot and a quote."""
        begun, ended = self._quoted
        return f"\n{name}" in begun or name in ended

    @cached_property
    def _quoted(self) -> tuple[str, frozenset[str]]:
        """The words behind a quote, each on a line, and those between a dot and a quote."""
        return "\n".join(["", *_BEHIND_QUOTE.findall(self.text)]), frozenset(_BEFORE_QUOTE.findall(self.text))

    def source(self, expression: ast.expr) -> str:
        """Return an expression as `ast.unparse` writes it, once: many names stand below one long test."""
        found = self._sources.get(expression)
        if found is None:
            found = self._sources[expression] = ast.unparse(expression)
        return found

    def resolve(self, expression: ast.expr | None) -> str:
        """Return the full dotted name of a name, attribute or called function; empty where that is not certain."""
        named = expression.func if isinstance(expression, ast.Call) else expression
        if not isinstance(named, ast.Name | ast.Attribute):
            return ""
        found = self._resolved.get(named)
        if found is None:
            found = self._resolved[named] = self.imports.resolve(named)
        return found

    @cached_property
    def calls_by_name(self) -> Mapping[str, list[ast.Call]]:
        """The calls by the last part of the function's name; those of an imported alias by the name behind it."""
        found: dict[str, list[ast.Call]] = defaultdict(list)
        behind = self.imports.qualified_by_name
        for call in self.index.by_type.get(ast.Call, ()):
            assert isinstance(call, ast.Call)
            function = call.func
            if isinstance(function, ast.Attribute):
                found[function.attr].append(call)
            else:
                name = function.id if isinstance(function, ast.Name) else ""
                found[name].append(call)
                for each in {qualified.rpartition(".")[2] for qualified in behind.get(name, ())} - {name}:
                    found[each].append(call)
        return found

    @cached_property
    def functions_by_name(self) -> Mapping[str, list[Function]]:
        """The functions and methods that the file defines, by name."""
        found: dict[str, list[Function]] = {}
        for kind in (ast.FunctionDef, ast.AsyncFunctionDef):
            for node in self.index.by_type.get(kind, ()):
                assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                found.setdefault(node.name, []).append(node)
        return found

    @property
    def attributes_by_name(self) -> Mapping[str, list[ast.AST]]:
        """The attributes of expressions by their own name."""
        return self.index.attributes_by_name

    @cached_property
    def bound_names(self) -> frozenset[str]:
        """Every name that the file binds, in whatever scope."""
        by_type = self.index.by_type
        names = {node.id for node in self.index.stored}
        for kind, field in _BINDING_FIELDS.items():
            names.update(str(getattr(node, field)) for node in by_type.get(kind, ()))
        for kind in (
            getattr(ast, name, ast.Module) for name in ("TypeVar", "ParamSpec", "TypeVarTuple")
        ):  # Python 3.12
            names.update(str(node.name) for node in by_type.get(kind, ()) if hasattr(node, "name"))
        for node in by_type.get(ast.alias, ()):
            assert isinstance(node, ast.alias)
            names.add(node.asname or node.name.partition(".")[0])
        for declared in (*by_type.get(ast.Global, ()), *by_type.get(ast.Nonlocal, ())):
            names.update(getattr(declared, "names", ()))
        return frozenset(names)

    def binds(self, node: ast.AST, name: str) -> bool:
        """Return whether something at or below `node` binds `name`, in any scope; a `**rest` of `match` does not."""
        start, end = self.index.span(node)
        places = self._binding_places.get(name, [])
        following = bisect_left(places, start)
        return following < len(places) and places[following] < end

    @cached_property
    def _binding_places(self) -> Mapping[str, list[int]]:
        """The sorted positions in the tree at which each name is bound."""
        by_type, position = self.index.by_type, self.index.position
        found: dict[str, list[int]] = defaultdict(list)
        for stored in self.index.stored:
            found[stored.id].append(position(stored))
        for kind in _NAMED:
            for node in by_type.get(kind, ()):
                found[getattr(node, "name", None) or ""].append(position(node))
        for node in by_type.get(ast.alias, ()):
            assert isinstance(node, ast.alias)
            found[node.asname or node.name.partition(".")[0]].append(position(node))
        for places in found.values():
            places.sort()
        return found

    def parent(self, node: ast.AST) -> ast.AST:
        """Return the node around `node`; that of the module is the module."""
        return self.index.parent(node) or self.index.tree

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes around `node`, the innermost first."""
        while (parent := self.index.parent(node)) is not None:
            yield parent
            node = parent

    def qualname(self, node: ast.AST) -> str | None:
        """Return the dotted name of the class or function that `node` is or stands in; None at the top of the file."""
        around = [each for each in (node, *self.ancestors(node)) if isinstance(each, _DEFINITIONS)]
        return ".".join(each.name for each in reversed(around)) or None

    def function_of(self, node: ast.AST) -> Function | None:
        """Return the innermost function around `node`; None in a class body, in a lambda or at the top."""
        scope = self.index.scope(node)
        return scope if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef) else None

    def class_of(self, function: ast.AST | None) -> ast.ClassDef | None:
        """Return the class whose method `function` is, else None."""
        scope = self.index.scope(function) if function is not None else None
        return scope if isinstance(scope, ast.ClassDef) else None

    def model_of(self, function: ast.AST | None) -> ast.ClassDef | None:
        """Return the model class whose method `function` is, else None."""
        found = self.class_of(function)
        return found if found and self.is_model(found) else None

    def is_model(self, node: ast.ClassDef) -> bool:
        """Return whether a class of this file is a subclass of `torch.nn.Module`."""
        return node.lineno in self._model_lines

    def loop_of(self, node: ast.AST) -> Loop | None:
        """Return the innermost loop around `node` in its function."""
        for found in self.ancestors(node):
            if isinstance(found, ast.For | ast.AsyncFor | ast.While):
                return found
            if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
                return None
        return None

    def statement_of(self, node: ast.AST) -> ast.stmt:
        """Return the statement that holds `node`."""
        while not isinstance(node, ast.stmt):
            node = self.parent(node)
        return node

    def block_of(self, statement: ast.stmt) -> list[ast.stmt]:
        """Return the list of statements in which `statement` stands."""
        parent = self.parent(statement)
        for name in ("body", "orelse", "finalbody"):
            found = getattr(parent, name, None)
            if isinstance(found, list) and statement in found:
                return found
        return [statement]

    def creates_model(self, expression: ast.expr | None) -> bool:
        """Return whether an expression calls a class of `torch.nn` or a model class of this file."""
        if not isinstance(expression, ast.Call):
            return False
        return bool(load_torch_classes().module_class(self.resolve(expression))) or self.creates_own_model(expression)

    def creates_own_model(self, expression: ast.expr) -> bool:
        """Return whether an expression calls a model class that stands at the top of this file."""
        if not isinstance(expression, ast.Call):
            return False
        return isinstance(expression.func, ast.Name) and expression.func.id in self._local_models

    @cached_property
    def _local_models(self) -> frozenset[str]:
        """The names of model classes at the top of the file."""
        found = (node for node in self.index.tree.body if isinstance(node, ast.ClassDef))
        return frozenset(node.name for node in found if self.is_model(node))

    @cached_property
    def set_attributes(self) -> list[ast.Assign]:
        """The assignments to one attribute of `self` and nothing else."""
        found: list[ast.Assign] = self.index.by_type.get(ast.Assign, [])  # type: ignore[assignment]
        return [each for each in found if len(each.targets) == 1 and self_attribute(each.targets[0])]

    def assignments(self, scope: ast.AST) -> Assignments:
        """Return what each name of a function or module is bound to; None stands for a value that is not known."""
        if scope not in self._assignments:
            self._assignments[scope] = _assignments(scope, self.index.own(scope))
        return self._assignments[scope]

    def value_of(self, expression: ast.expr) -> ast.expr:
        """Return the expression that a name stands for, where its function binds it exactly once; else itself."""
        for _ in range(MAX_STEPS):
            if not isinstance(expression, ast.Name):
                break
            bound = self.assignments(self.index.scope(expression)).get(expression.id, [])
            if len(bound) != 1 or bound[0] is None:
                break
            expression = bound[0]
        return expression

    def value_at(self, expression: ast.expr) -> ast.expr:
        """Return the expression that a name stands for where it is read: what surely bound it last; else itself."""
        for _ in range(MAX_STEPS):
            if not isinstance(expression, ast.Name):
                break
            bound = last_binding(expression, self) or self.value_of(expression)
            if bound is expression:
                break
            expression = bound
        return expression

    def guarded(self, node: ast.AST) -> bool:
        """Return whether `node` is tried (`try: ... except ImportError`) or depends on a test of a version."""
        for found in self.ancestors(node):
            if isinstance(found, ast.Try) and any(_catches_import_failure(each) for each in found.handlers):
                return True
            if isinstance(found, ast.If | ast.IfExp) and self._tests_version(found.test):
                return True
        return self._left_early(node) or self._replaced_later(node)

    def guarded_name(self, expression: ast.expr) -> bool:
        """Return whether a dotted name, or the import that binds it, is guarded."""
        return self.guarded(expression) or any(self.guarded(node) for node in self.imports.import_nodes(expression))

    def _tests_version(self, test: ast.expr) -> bool:
        return bool(_VERSION_TEST.search(self.source(test)))

    def _left_early(self, node: ast.AST) -> bool:
        """Return whether a version test before `node` returns or asserts, so that the rest is for some versions."""
        for found in (node, *self.ancestors(node)):
            if isinstance(found, ast.stmt):
                for before in statements_before(self.block_of(found), found):
                    if isinstance(before, ast.Assert) and self._tests_version(before.test):
                        return True
                    if isinstance(before, ast.If) and self._tests_version(before.test):
                        return isinstance(before.body[-1], ast.Return | ast.Raise | ast.Continue)
        return False

    def _replaced_later(self, node: ast.AST) -> bool:
        """Return whether `node` is the value of a name that a version test right after binds to something else."""
        statement = self.statement_of(node)
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if value is node:
                block = self.block_of(statement)
                after = block[block.index(statement) + 1 : block.index(statement) + 2]
                return any(
                    isinstance(each, ast.If) and self._tests_version(each.test) and name in _targets(each)
                    for each in after
                )
        return False


def _targets(branch: ast.If) -> set[str]:
    """Return the names to which the statements of a branch assign."""
    assigned = (each for each in branch.body if isinstance(each, ast.Assign))
    return {target.id for each in assigned for target in each.targets if isinstance(target, ast.Name)}


def _catches_import_failure(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(each, ast.Name) and each.id in _IMPORT_FAILURES for each in types)


def _assignments(scope: ast.AST, nodes: Sequence[ast.AST]) -> dict[str, list[ast.expr | None]]:
    found: dict[str, list[ast.expr | None]] = {}
    known: set[ast.AST] = set()
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for argument in parameters(scope):
            found.setdefault(argument.arg, []).append(None)
    for node in nodes:  # an assignment before the names in it
        if node.__class__ not in _BINDING:  # most nodes
            continue
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
                    known.add(target)
        elif isinstance(node, ast.AnnAssign):
            if isinstance(node.target, ast.Name) and node.value is not None:
                found.setdefault(node.target.id, []).append(node.value)
                known.add(node.target)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and node not in known:
            found.setdefault(node.id, []).append(None)
    return found
