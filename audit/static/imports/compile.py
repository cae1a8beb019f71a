"""One walk over a file's tree that turns it into the program of its import."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from audit.static.builtin_names import BUILTIN_NAMES
from audit.static.imports.expressions import bound_names, expression, reads, walrus_names
from audit.static.imports.lazy_tables import lazy_table
from audit.static.imports.program import (
    Anything,
    Assign,
    Bind,
    Block,
    Call,
    Constant,
    Define,
    Delete,
    Evaluate,
    Function,
    Handler,
    If,
    Import,
    ImportFrom,
    Perhaps,
    Program,
    Raise,
    Reading,
    Return,
    Step,
    Try,
    Use,
)
from audit.static.imports.registering import decorated, registrars
from audit.static.imports.syntax import (
    GIVEN,
    FunctionNode,
    annotations,
    asks_type_checking,
    calls,
    certain,
    declared_global,
    evaluates_annotations,
    handler_types,
    literal_names,
    may_be_asked,
    names_bound_in,
    raised,
    unrolled,
)
from audit.static.scopes import dotted
from audit.static.tree import TreeIndex

_EXITS = frozenset({"sys.exit", "exit", "quit", "os._exit"})
_NAMESPACE_CALLS = frozenset({"globals", "locals", "vars", "exec", "eval"})
_SWALLOWING = re.compile(r"suppress|try_import|raises|optional", re.IGNORECASE)
_IMPORTING = ("import_module", "__import__")
_SIMPLE = (ast.Assign, ast.Expr, ast.AnnAssign)
_MAX_CHAIN = 4


def compile_program(index: TreeIndex, text: str) -> Program:
    """Return what importing a file with this tree does. A tree that is too deep to follow may bind anything."""
    tree = index.tree
    compiler = _Compiler(index)
    try:
        body = compiler.block(tree.body)
    except RecursionError:
        return Program(body=(Anything(),))
    table = lazy_table(tree) if "LazyModule" in index.vocabulary else None
    listed = [(name, 1, origin, name) for name, origin in table.origins if origin] if table else []
    return Program(
        body=body,
        functions=tuple(compiler.functions),
        names=frozenset(compiler.names),
        may_bind=frozenset(compiler.may_bind),
        lazily=tuple(dict.fromkeys((*compiler.lazily, *listed))),
        exports=compiler.exports,
        registrars=registrars(index, text),
        decorators=tuple(decorated(tree)),
        offers=tuple(name for name, _ in table.origins) if table and table.complete else None,
    )


class _Compiler:
    """The walk. `bound` are the names that are bound for certain at the present place: reading them cannot fail.

    What is nowhere in the file is not looked for in each statement, which would take most of the time.
    """

    def __init__(self, index: TreeIndex) -> None:
        self._has_walrus = bool(index.by_type.get(ast.NamedExpr))
        self._has_global = bool(index.by_type.get(ast.Global))
        self._imports_by_name = any(
            name in found for name in _IMPORTING for found in (index.name_places, index.attributes_by_name)
        )
        self._has_namespace_calls = any(name in index.name_places for name in _NAMESPACE_CALLS)
        self.functions: list[Function] = []
        self.names: set[str] = set()
        self.may_bind: set[str] = set()
        self.lazily: list[tuple[str, int, str, str]] = []
        self.exports: tuple[str, ...] | None = None
        self._bound: set[str] = set()
        self._seen: set[tuple[tuple[str, ...], Reading]] = set()
        self._imported: set[str] = set()
        self._none: set[str] = set()  # names that somewhere are None
        self._class_names: list[set[str]] = []
        self._in_function = False
        self._typing_only = False
        self._evaluates_annotations = evaluates_annotations(index)

    def block(self, statements: Iterable[ast.stmt]) -> Block:
        """Return the steps of `statements`."""
        return tuple(step for statement in statements for step in self._statement(statement))

    def _statement(self, node: ast.stmt) -> Iterator[Step]:
        if isinstance(node, _SIMPLE):  # the commonest first, before the patterns that are tried one by one
            yield from self._simple(node)
            return
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    bound = alias.asname or alias.name.partition(".")[0]
                    yield Import(node.lineno, alias.name, "" if self._class_names else alias.asname)
                    self._bind([bound], imported=True)
            case ast.ImportFrom():
                yield from self._import_from(node)
            case ast.If():
                yield from self._if(node)
            case ast.Try() | ast.TryStar():
                yield from self._try(node)
            case ast.With() | ast.AsyncWith():
                yield from self._with(node)
            case ast.For() | ast.AsyncFor() | ast.While() | ast.Match():
                yield from self._perhaps(node)
            case ast.ClassDef():
                yield from self._class(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from self._define(node)
            case ast.Raise():
                yield from self._raise(node)
            case ast.Return(value=value):
                yield Return(expression(value))
            case _:
                yield from self._simple(node)

    def _simple(self, node: ast.stmt) -> Iterator[Step]:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.AnnAssign):
            parts = (node.value, node.annotation if self._evaluates_annotations else None)
            for part in filter(None, parts):
                yield from self._uses(part)
        else:
            yield from self._uses(node)
        if self._has_namespace_calls and any(dotted(each.func) in _NAMESPACE_CALLS for each in calls(node)):
            yield Anything()
        match node:
            case ast.Expr(value=ast.Call() as call) if dotted(call.func) in _EXITS:
                yield Raise(node.lineno, "SystemExit", "")
            case ast.Expr(value=ast.Call() as call):
                if dotted(call.func).startswith("__all__."):
                    self.exports = None
                yield Evaluate(node.lineno, expression(call))
            case ast.Assert(test=test):
                failed = Raise(node.lineno, "AssertionError", "")
                yield If(expression(test), (), (failed,))
            case ast.Assign(targets=targets, value=value):
                yield from self._assign(node.lineno, targets, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield from self._assign(node.lineno, [target], value)
            case ast.AugAssign(target=target):
                if dotted(target) == "__all__":
                    self.exports = None
                yield from self._bind_unknown(bound_names(target))
            case ast.Delete(targets=targets):
                names = tuple(name for target in targets for name in bound_names(target))
                self._bound.difference_update(names)
                if names and not self._class_names:
                    yield Delete(names)
            case ast.Global(names=names) if self._in_function:
                self.may_bind.update(names)
        if self._has_walrus:
            yield from self._bind_unknown(set(walrus_names(node)))

    def _assign(self, line: int, targets: Sequence[ast.expr], value: ast.expr) -> Iterator[Step]:
        given = expression(value)
        for target in targets:
            names = tuple(bound_names(target))
            if isinstance(target, ast.Subscript) and dotted(target.value) == "sys.modules":
                yield Anything()
            if not names:
                if isinstance(given, Call):
                    yield Evaluate(line, given)
                continue
            if names == ("__all__",) and not self._class_names and not self._in_function:
                self.exports = literal_names(value)
            if isinstance(given, Constant) and given.value is None:
                self._none.update(names)
            if self._class_names:
                if isinstance(given, Call):
                    yield Evaluate(line, given)
            elif isinstance(target, ast.Name) or (
                isinstance(target, ast.Tuple | ast.List) and all(isinstance(each, ast.Name) for each in target.elts)
            ):
                yield Assign(line, names, given)
            else:
                yield Bind(names)
            self._bind(names)

    def _import_from(self, node: ast.ImportFrom) -> Iterator[Step]:
        module = node.module or ""
        if module == "__future__" and not node.level:
            self._bind([alias.asname or alias.name for alias in node.names])
            return
        names = tuple((alias.name, "" if self._class_names else alias.asname or alias.name) for alias in node.names)
        yield ImportFrom(node.lineno, node.level, module, names)
        self._bind([name for _, name in names if name != "*"], imported=True)
        if self._typing_only:
            self.lazily.extend((bound, node.level, module, name) for name, bound in names)

    def _bind(self, names: Iterable[str], *, imported: bool = False) -> None:
        names = list(names)
        if self._class_names:
            self._class_names[-1].update(names)
            return
        if self._in_function:
            return
        self._bound.update(names)
        self.names.update(names)
        if imported:
            self._imported.update(names)

    def _bind_unknown(self, names: Iterable[str]) -> Iterator[Step]:
        names = tuple(names)
        if names and not self._class_names:
            yield Bind(names)
        self._bind(names)

    def _uses(self, node: ast.AST, reading: Reading = Reading.VALUE) -> Iterator[Step]:
        """Yield the reads in `node` that may fail."""
        if self._in_function:
            return
        for chain, how, line in reads(node, reading):
            first = chain[0]
            known = any(first in names for names in self._class_names) or first in BUILTIN_NAMES or first in GIVEN
            if known and first not in self.names:
                continue
            is_bound = first in self._bound
            may_be_none = first in self._none and (len(chain) > 1 or how is not Reading.VALUE)
            if is_bound and not may_be_none and not (first in self._imported and len(chain) > 1):
                continue
            key = (chain[:_MAX_CHAIN], how)
            if key not in self._seen:
                self._seen.add(key)
                yield Use(line, chain[:_MAX_CHAIN], how)

    @contextmanager
    def _branch(self, ends: list[set[str]]) -> Iterator[None]:
        """Walk what may not run: what it binds is certain afterwards only where every branch binds it."""
        bound, seen = set(self._bound), set(self._seen)
        yield
        ends.append(self._bound)
        self._bound, self._seen = bound, seen

    def _if(self, node: ast.If) -> Iterator[Step]:
        yield from self._uses(node.test)
        if self._has_walrus:
            yield from self._bind_unknown(set(walrus_names(node.test)))
        ends: list[set[str]] = []
        typing_only, self._typing_only = self._typing_only, self._typing_only or asks_type_checking(node.test)
        with self._branch(ends):
            body = self.block(node.body)
        self._typing_only = typing_only
        with self._branch(ends):
            orelse = self.block(node.orelse)
        self._bound = certain(ends, [body, orelse], otherwise=self._bound)
        if body or orelse:
            yield If(expression(node.test), body, orelse)

    def _try(self, node: ast.Try | ast.TryStar) -> Iterator[Step]:
        ends: list[set[str]] = []
        blocks: list[Block] = []
        handlers: list[Handler] = []
        with self._branch(ends):
            body = self.block(node.body)
            orelse = self.block(node.orelse)
            blocks.append(body + orelse)
        for handler in node.handlers:
            with self._branch(ends):
                self._bind(filter(None, [handler.name]))
                steps = self.block(handler.body)
                self._bound.discard(handler.name or "")
            blocks.append(steps)
            handlers.append(Handler(handler_types(handler.type), handler.name, steps))
        self._bound = certain(ends, blocks, otherwise=self._bound)
        final = self.block(node.finalbody)
        if body or orelse or final or any(handler.body for handler in handlers):
            yield Try(body, tuple(handlers), orelse, final)

    def _with(self, node: ast.With | ast.AsyncWith) -> Iterator[Step]:
        swallowed: list[Handler] = []
        for item in node.items:
            yield from self._uses(item.context_expr)
            call = item.context_expr
            manager = dotted(call.func) if isinstance(call, ast.Call) else ""
            if _SWALLOWING.search(manager):
                named = isinstance(call, ast.Call) and manager.endswith("suppress")
                types = tuple(map(expression, call.args)) if named and isinstance(call, ast.Call) else ()
                swallowed.append(Handler(types, None, ()))
            if item.optional_vars:
                yield from self._bind_unknown(bound_names(item.optional_vars))
        if not swallowed:
            yield from self.block(node.body)
            return
        ends: list[set[str]] = [set(self._bound)]
        with self._branch(ends):
            body = self.block(node.body)
        self._bound = set.intersection(*ends)
        yield Try(body, tuple(swallowed), (), ())

    def _perhaps(self, node: ast.For | ast.AsyncFor | ast.While | ast.Match) -> Iterator[Step]:
        if isinstance(node, ast.For) and (values := unrolled(node)):
            for value in values:
                yield from self._assign(node.lineno, [node.target], value)
                yield from self.block(node.body)
            return
        first = node.test if isinstance(node, ast.While) else node.subject if isinstance(node, ast.Match) else node.iter
        yield from self._uses(first)
        if isinstance(node, ast.For | ast.AsyncFor):
            yield from self._bind_unknown(bound_names(node.target))
        bodies = [case.body for case in node.cases] if isinstance(node, ast.Match) else [node.body, node.orelse]
        steps: list[Block] = []
        ends: list[set[str]] = []
        for body in bodies:
            with self._branch(ends):
                steps.append(self.block(body))
        if any(steps):
            yield Perhaps(tuple(steps))

    def _class(self, node: ast.ClassDef) -> Iterator[Step]:
        for decorator in node.decorator_list:
            yield from self._uses(decorator, Reading.CALL)
        for base in node.bases:
            yield from self._uses(base, Reading.BASE)
        for keyword in node.keywords:
            yield from self._uses(keyword)
        if not self._in_function:
            # A class's names hide those of the module only below the place that binds them; that is not followed.
            self._class_names.append(set(names_bound_in(node.body)))
            yield from self.block(node.body)
            self._class_names.pop()
        yield from self._bind_unknown([node.name])

    def _define(self, node: FunctionNode) -> Iterator[Step]:
        for decorator in node.decorator_list:
            yield from self._uses(decorator, Reading.CALL)
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            yield from self._uses(default)
        if self._evaluates_annotations:
            for annotation in annotations(node):
                yield from self._uses(annotation)
        if self._in_function or self._class_names:
            yield from self._bind_unknown([node.name])
            return
        if self._has_global:
            self.may_bind.update(declared_global(node))
        if may_be_asked(node, imports_by_name=self._imports_by_name):
            yield Define(node.name, len(self.functions))
            self._bind([node.name])
            self.functions.append(self._function(node))
        else:
            yield from self._bind_unknown([node.name])

    def _function(self, node: FunctionNode) -> Function:
        arguments = node.args
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        named = [argument.arg for argument in arguments.kwonlyargs]
        defaults = list(zip(reversed(positional), map(expression, reversed(arguments.defaults)), strict=False))
        defaults += [
            (name, expression(default))
            for name, default in zip(named, arguments.kw_defaults, strict=True)
            if default is not None
        ]
        declared = set(declared_global(node)) if self._has_global else set()
        extra = [arguments.kwarg.arg] if arguments.kwarg else []
        local = {*positional, *named, *extra, *names_bound_in(node.body)} - declared
        self._in_function = True
        body = self.block(node.body)
        self._in_function = False
        return Function((*positional, *named), tuple(defaults), frozenset(local), body)

    def _raise(self, node: ast.Raise) -> Iterator[Step]:
        if node.exc is None:
            yield Raise(node.lineno, "", "")
            return
        yield from self._uses(node.exc)
        yield raised(node.exc, node.lineno)
