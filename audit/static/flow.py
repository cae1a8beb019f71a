"""One walk over a file's statements in the order they run, which binds names and meets class statements.

Branches are walked one by one and joined; a branch that raises or returns binds nothing for what follows. A function
body is walked after the scope around it, whose last bindings it sees. Loops are walked once.
"""

import ast
from collections import deque
from collections.abc import Sequence

from audit.static.exports import ALL, exports_in, exports_of_call
from audit.static.lines import SourceLines
from audit.static.names import OPAQUE, Candidate, Candidates, ClassSummary, Exports, Origin, StarImport
from audit.static.parameters import CONSTRUCTOR, METHODS, Parameter, parameters_of
from audit.static.reading import ParsedFile
from audit.static.scopes import Scope, State, bases_of, dotted, merged, value
from audit.static.signatures import signature_key
from audit.static.sources import SourceFile

_OPAQUE: Candidates = frozenset({OPAQUE})
_EXITS = frozenset({"sys.exit", "exit", "quit", "os._exit"})
_MAKE_CONSTRUCTORS = frozenset({"dataclass", "define", "frozen", "attrs"})  # of dataclasses, attrs and their kin
_WITHOUT_BRANCHES = (ast.Assign, ast.FunctionDef, ast.ImportFrom, ast.ClassDef, ast.AnnAssign, ast.Import)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Flow:
    """The walk over one file; after `run` its attributes hold what was found."""

    def __init__(self, file: SourceFile, *, parsed: ParsedFile, lines: SourceLines) -> None:
        """Prepare the walk over a file with these lines; nothing is walked before `run`."""
        self.module_scope = Scope()
        self.classes: list[ClassSummary] = []
        self.signatures: dict[str, tuple[Parameter, ...]] = {}
        self.exports: Exports | None = None
        self._file = file
        self._tree = parsed.tree
        self._lines = lines
        self._functions: deque[tuple[Function, Scope]] = deque()
        self._runs = True  # False in a branch that only a type checker takes

    def run(self) -> None:
        """Walk the module, then the functions met. Raises `RecursionError` for expressions nested too deeply."""
        self._block(self._tree.body, self.module_scope)
        while self._functions:
            self._function_body(*self._functions.popleft())

    def _block(self, statements: Sequence[ast.stmt], scope: Scope) -> bool:
        """Walk `statements`; return whether what stands after them can run."""
        return all(self._statement(statement, scope) for statement in statements)

    def _statement(self, node: ast.stmt, scope: Scope) -> bool:
        if isinstance(node, _WITHOUT_BRANCHES):  # most, before the patterns that are tried one by one
            self._binding(node, scope)
            return True
        match node:
            case ast.If():
                return self._if(node, scope)
            case ast.Try() | ast.TryStar():
                return self._try(node, scope)
            case ast.Return() | ast.Raise():
                return False
            case ast.Expr(value=ast.Call() as call):
                added = exports_of_call(call, scope) if scope is self.module_scope else None
                if added:
                    self._export(added)
                return dotted(call.func) not in _EXITS
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    self._assign(item.optional_vars, None, scope)
                self._block(node.body, scope)  # the context manager may swallow what is raised
            case ast.For() | ast.AsyncFor() | ast.While():
                self._loop(node, scope)
            case ast.Match(cases=cases):
                self._branches([case.body for case in cases], scope)
            case _:
                self._binding(node, scope)
        return True

    def _binding(self, node: ast.stmt, scope: Scope) -> None:
        """Walk a statement without branches."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scope.bind(node.name, _OPAQUE)
                if scope.position is not None and node.name in METHODS:  # of two definitions the last one counts
                    key = signature_key(scope.position, node.name)
                    self.signatures[key] = parameters_of(node, self._lines, bound=True)
                if self._runs and self._lines.may_define_class(node.lineno, node.end_lineno or node.lineno):
                    self._functions.append((node, scope))
            case ast.Assign(targets=targets, value=assigned):
                for target in targets:
                    self._assign(target, assigned, scope)
            case ast.Import():
                self._import(node, scope)
            case ast.ImportFrom():
                self._import_from(node, scope)
            case ast.ClassDef():
                self._class(node, scope)
            case ast.AnnAssign(target=target, value=ast.expr() as assigned):
                self._assign(target, assigned, scope)
            case ast.AugAssign(target=ast.Name(id="__all__"), value=added) if scope is self.module_scope:
                self._export(exports_in(added, scope))
            case ast.AugAssign(target=target):
                self._assign(target, None, scope)
            case ast.Delete(targets=targets):
                for target in targets:
                    scope.state.names.pop(dotted(target), None)
            case ast.Global(names=names):
                scope.global_names.update(names)

    def _if(self, node: ast.If, scope: Scope) -> bool:
        """Walk an `if` and its `elif`s in a loop, since they are nested in the tree and can be many."""
        before, ends = scope.state, list[State]()
        while True:
            truth = _truth(node.test)
            if truth is False:
                self._typing_only(node.body, scope, before)
            else:
                ends.extend(self._branch(node.body, scope, before))
            match node.orelse:
                case [ast.If() as node] if truth is not True:
                    continue
                case orelse if truth is True:
                    self._typing_only(orelse, scope, before)
                case orelse:
                    ends.extend(self._branch(orelse, scope, before))
            return _joined(scope, before, ends)

    def _branch(self, body: Sequence[ast.stmt], scope: Scope, before: State) -> list[State]:
        """Walk `body` from the state `before`; return the state at its end, or nothing where it is not reached."""
        scope.state = before.copy()
        return [scope.state] if self._block(body, scope) else []

    def _branches(self, bodies: Sequence[Sequence[ast.stmt]], scope: Scope) -> None:
        """Walk bodies of which at most one runs."""
        before, ends = scope.state, [scope.state]
        for body in bodies:
            ends.extend(self._branch(body, scope, before))
        scope.state = merged(ends)

    def _typing_only(self, body: Sequence[ast.stmt], scope: Scope, before: State) -> None:
        """Walk a branch that does not run: what it binds is known, but stands for nothing that is bound elsewhere."""
        runs, self._runs = self._runs, False
        self._branch(body, scope, before)
        for name, candidates in scope.state.names.items():
            if before.names.get(name) != candidates:
                scope.typing_only.setdefault(name, candidates)
        new = (star for star in scope.state.stars if star not in before.stars)
        scope.typing_stars += tuple(StarImport(star.module, certain=False) for star in new)
        self._runs = runs
        scope.state = before

    def _try(self, node: ast.Try | ast.TryStar, scope: Scope) -> bool:
        before, ends = scope.state, list[State]()
        finished = self._branch(node.body, scope, before)
        interrupted = merged([before, scope.state])
        for state in finished:
            ends.extend(self._branch(node.orelse, scope, state))
        for handler in node.handlers:
            ends.extend(self._branch(handler.body, scope, interrupted))
        falls_through = _joined(scope, before, ends)
        return self._block(node.finalbody, scope) and falls_through

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, scope: Scope) -> None:
        before = scope.state
        scope.state = before.copy()
        if not isinstance(node, ast.While):
            self._assign(node.target, None, scope)
        self._block(node.body, scope)
        scope.state = merged([before, scope.state])
        if node.orelse:
            self._branches([node.orelse], scope)

    def _import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            module = alias.name if alias.asname else alias.name.partition(".")[0]
            scope.bind(alias.asname or module, frozenset({Candidate(Origin.IMPORT, module=module)}))

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = _absolute_module(node, self._file)
        for alias in node.names:
            if alias.name == "*":
                scope.import_star(module)
            else:
                found = Candidate(Origin.IMPORT, module=module, attributes=(alias.name,))
                scope.bind(alias.asname or alias.name, frozenset({found}))

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        if not self._runs:
            scope.bind(node.name, _OPAQUE)
            return
        qualname = node.name if node.name in scope.global_names else scope.prefix + node.name
        bindings: dict[str, tuple[Candidate, ...]] = {}
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        defined = Candidate(Origin.CLASS, definition=len(self.classes))
        self.classes.append(
            ClassSummary(
                path=self._file.relative,
                module=self._file.module,
                qualname=qualname,
                line=node.lineno,
                bases=bases_of(node, scope),
                digest=self._lines.digest(first, node.end_lineno or node.lineno),
                bindings=bindings,
            )
        )
        inner = Scope(prefix=f"{qualname}.", parent=scope, is_class=True, position=defined.definition)
        if any(_name_of(decorator) in _MAKE_CONSTRUCTORS for decorator in node.decorator_list):
            inner.bind(CONSTRUCTOR, _OPAQUE)
        self._block(node.body, inner)
        bindings.update(inner.bindings())
        scope.bind(node.name, frozenset({defined}))

    def _function_body(self, node: Function, scope: Scope) -> None:
        prefix = node.name if node.name in scope.global_names else scope.prefix + node.name
        inner = Scope(prefix=f"{prefix}.<locals>.", parent=scope)
        arguments = node.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            inner.bind(argument.arg, _OPAQUE)
        for variadic in (arguments.vararg, arguments.kwarg):
            if variadic:
                inner.bind(variadic.arg, _OPAQUE)
        self._block(node.body, inner)

    def _assign(self, target: ast.expr | None, assigned: ast.expr | None, scope: Scope) -> None:
        """Bind the names in `target`; where `assigned` is None or does not take apart, to a value not known."""
        match target, assigned:
            case ast.Name(id=name), ast.expr():
                if name == ALL and scope is self.module_scope:
                    self._export(exports_in(assigned, scope))
                scope.bind(name, value(assigned, scope))
            case ast.Name(id=name), None:
                scope.bind(name, _OPAQUE)
            case (
                (ast.Tuple(elts=targets) | ast.List(elts=targets)),
                (ast.Tuple(elts=values) | ast.List(elts=values)),
            ) if len(targets) == len(values) and not any(isinstance(part, ast.Starred) for part in (*targets, *values)):
                for part, part_value in zip(targets, values, strict=True):
                    self._assign(part, part_value, scope)
            case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), _):
                for part in targets:
                    self._assign(part, None, scope)
            case ast.Starred(value=sequence), _:
                self._assign(sequence, None, scope)

    def _export(self, exports: Exports) -> None:
        """Add to `__all__`. What one branch exports counts for all, and a second assignment adds to the first."""
        self.exports = self.exports.joined(exports) if self.exports else exports


def _joined(scope: Scope, before: State, ends: Sequence[State]) -> bool:
    """Go on from the branches that reach their end; return whether there is one."""
    scope.state = merged(ends) if ends else before
    return bool(ends)


def _name_of(decorator: ast.expr) -> str:
    return dotted(decorator.func if isinstance(decorator, ast.Call) else decorator).rpartition(".")[2]


def _truth(test: ast.expr) -> bool | None:
    """Return what a condition is at run time, where that is known: constants and `TYPE_CHECKING`."""
    match test:
        case ast.Constant(value=constant):
            return bool(constant)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            truth = _truth(operand)
            return None if truth is None else not truth
    return False if dotted(test).rpartition(".")[2] == "TYPE_CHECKING" else None


def _absolute_module(node: ast.ImportFrom, file: SourceFile) -> str:
    """Return the module of a `from` import from the root down, with a leading dot for each step above the root."""
    if not node.level:
        return node.module or ""
    package = file.module if file.is_package else file.module.rpartition(".")[0]
    parts = package.split(".") if package else []
    steps = node.level - 1
    above = max(0, steps - len(parts))
    parts = parts[: len(parts) - steps] if steps <= len(parts) else []
    return "." * above + ".".join([*parts, *([node.module] if node.module else [])])
