"""Which reads of a name come where nothing can have bound it: one pass along the statements of a scope."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from audit.static.rules.syntax import parameters

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_ENDS = (ast.Return, ast.Raise, ast.Break, ast.Continue)

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Module
Bound = set[str] | None  # None: the place is never reached


def reads_before_binding(scope: Scope) -> list[ast.Name]:
    """Return the reads of the scope's own names at which no path has bound them: each raises whenever it runs.

    What may run between (an earlier turn of a loop, any part of a `try`) counts as run; deferred code is left out.
    """
    flow = _Flow(_own_names(scope))
    if flow.names:
        flow.block(scope.body, _given(scope))
    return flow.unbound


def stored_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that statements or targets bind in their own scope."""
    return {name for node in nodes for name in _stores(node)}


def _given(scope: Scope) -> set[str]:
    if isinstance(scope, ast.Module):
        return set()
    extra = [each.arg for each in (scope.args.vararg, scope.args.kwarg) if each]
    return {each.arg for each in parameters(scope)} | set(extra)


def _own_names(scope: Scope) -> set[str]:
    """Return the names that are local to the scope and that no scope within it or around it can bind."""
    names = stored_names(scope.body)
    for node in ast.walk(scope):
        if isinstance(node, ast.Global | ast.Nonlocal):
            names -= set(node.names)
    return names


def _stores(node: ast.AST) -> Iterator[str]:
    pending = [node]
    while pending:
        found = pending.pop()
        match found:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
                continue
            case ast.Lambda():
                continue
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (each.asname or each.name.partition(".")[0] for each in aliases)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name
            case ast.comprehension():  # its targets live in a scope of their own
                pending += [found.iter, *found.ifs]
                continue
        pending.extend(ast.iter_child_nodes(found))


def _joined(*paths: Bound) -> Bound:
    reached = [path for path in paths if path is not None]
    return set().union(*reached) if reached else None


class _Flow:
    """Follows the statements of one scope with the names that may be bound so far."""

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.unbound: list[ast.Name] = []

    def block(self, statements: Sequence[ast.stmt], bound: Bound) -> Bound:
        for statement in statements:
            if bound is None:
                return None
            bound = self._statement(statement, bound)
        return bound

    def _statement(self, statement: ast.stmt, bound: set[str]) -> Bound:
        match statement:
            case ast.If():
                return self._if(statement, bound)
            case ast.For() | ast.AsyncFor() | ast.While():
                return self._loop(statement, bound)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    self._read(item, bound)
                    bound |= stored_names([item])
                ended = self.block(body, set(bound))
                return bound | stored_names(body) if ended is None else ended  # it may swallow an exception
            case ast.Try() | ast.TryStar():
                return self._try(statement, bound)
            case ast.Match(subject=subject, cases=cases):
                self._read(subject, bound)
                return _joined(bound, *(self._case(case, set(bound)) for case in cases))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._definition(statement, bound)
            case ast.AugAssign(target=ast.Name() as target, value=value):
                self._read(value, bound)
                self._judge(target, bound)
            case ast.AnnAssign(target=target, value=value):
                if value is None:
                    return bound
                self._read(value, bound)
                self._read(target, bound)
            case _ if type(statement).__name__ == "TypeAlias":  # Python 3.12; its value is evaluated when asked for
                pass
            case ast.Delete(targets=targets):
                for each in targets:
                    self._read(each, bound)
                return bound - {each.id for each in targets if isinstance(each, ast.Name)}
            case _:
                self._read(statement, bound)
        bound |= stored_names([statement])
        return None if isinstance(statement, _ENDS) else bound

    def _loop(self, loop: ast.For | ast.AsyncFor | ast.While, bound: set[str]) -> Bound:
        self._read(loop.test if isinstance(loop, ast.While) else loop.iter, bound)
        targets = [] if isinstance(loop, ast.While) else [loop.target]
        inside = bound | stored_names([*targets, *loop.body])
        self.block(loop.body, set(inside))
        return _joined(inside, self.block(loop.orelse, set(inside)))

    def _if(self, first: ast.If, bound: set[str]) -> Bound:
        """Follow the branches of an `if`; those of `elif` in a loop, since there may be a thousand of them."""
        ends: list[Bound] = []
        rest: list[ast.stmt] = [first]
        while len(rest) == 1 and isinstance(rest[0], ast.If):
            self._read(rest[0].test, bound)
            ends.append(self.block(rest[0].body, set(bound)))
            rest = rest[0].orelse
        return _joined(*ends, self.block(rest, bound))

    def _try(self, tried: ast.Try | ast.TryStar, bound: set[str]) -> Bound:
        anywhere = bound | stored_names(tried.body)
        ends = [self.block(tried.orelse, self.block(tried.body, set(bound)))]
        for handler in tried.handlers:
            if handler.type:
                self._read(handler.type, anywhere)
            named = {handler.name} if handler.name else set()
            ended = self.block(handler.body, anywhere | named)
            ends.append(None if ended is None else ended - named)  # Python deletes it
        after = _joined(*ends)
        everything = anywhere | stored_names([*tried.handlers, *tried.orelse])
        last = self.block(tried.finalbody, everything)
        return None if after is None or last is None else after | stored_names(tried.finalbody)

    def _case(self, case: ast.match_case, bound: set[str]) -> Bound:
        bound |= stored_names([case.pattern])
        if case.guard:
            self._read(case.guard, bound)
        return self.block(case.body, bound)

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, bound: set[str]) -> None:
        for each in node.decorator_list:
            self._read(each, bound)
        values = node.bases if isinstance(node, ast.ClassDef) else [*node.args.defaults, *node.args.kw_defaults]
        for value in values:
            if value is not None:
                self._read(value, bound)

    def _read(self, node: ast.AST, bound: set[str]) -> None:
        """Judge the names that an expression reads as soon as it is evaluated."""
        pending, own = [node], set[str]()
        names: list[ast.Name] = []
        while pending:
            found = pending.pop()
            match found:
                case ast.Name(ctx=ast.Load() | ast.Del()):
                    names.append(found)
                case ast.NamedExpr(target=ast.Name(id=name)):
                    bound.add(name)
                    pending.append(found.value)
                case ast.Lambda():
                    pending += [each for each in (*found.args.defaults, *found.args.kw_defaults) if each is not None]
                case ast.GeneratorExp(generators=[first, *_]):  # the rest runs when somebody asks for an element
                    pending.append(first.iter)
                case _:
                    if isinstance(found, _COMPREHENSIONS):
                        targets = (generator.target for generator in found.generators)
                        own |= {
                            each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
                        }
                    pending.extend(ast.iter_child_nodes(found))
        for found in names:
            if found.id not in own:
                self._judge(found, bound)

    def _judge(self, name: ast.Name, bound: set[str]) -> None:
        if name.id in self.names and name.id not in bound:
            self.unbound.append(name)
