"""The full names of expressions in one file, as far as the file's own imports tell."""

import ast
from collections.abc import Container, Iterable, Mapping, Set

from audit.static.names import Bindings, Origin
from audit.static.scopes import dotted

_LINKS = (ast.Attribute, ast.Subscript)
_LOOP = ("body", "orelse")
_TRY = ("body", "orelse", "finalbody", "handlers")
_BLOCKS: dict[type[ast.stmt], tuple[str, ...]] = {  # where a statement holds others that run in its scope
    ast.If: ("body", "orelse"),
    ast.For: _LOOP,
    ast.AsyncFor: _LOOP,
    ast.While: _LOOP,
    ast.Try: _TRY,
    ast.TryStar: _TRY,
    ast.With: ("body",),
    ast.AsyncWith: ("body",),
}


class FullNames:
    """What dotted names stand for at the end of a module, or in a function with imports of its own."""

    def __init__(
        self,
        bindings: Bindings,
        *,
        importing: Container[ast.AST],
        local: Mapping[str, str] | None = None,
        hidden: Set[str] = frozenset(),
    ) -> None:
        """Take the bindings of the module, the names that `local` imports bind instead, and those of parameters.

        `importing` are the scopes that hold import statements: the bodies of other functions are not looked through.
        """
        self._bindings = bindings
        self._importing = importing
        self._local = local or {}
        self._hidden = hidden
        self._known: dict[str, str] = {}
        self._inner: dict[ast.AST, FullNames] = {}

    def of(self, expression: ast.expr) -> str:
        """Return the full name of a dotted expression; empty for anything else and for names that nothing binds."""
        if isinstance(expression, ast.Name):
            return self.of_name(expression.id)
        first = expression
        while isinstance(first, _LINKS):
            first = first.value
        found = self.of_name(first.id) if isinstance(first, ast.Name) else ""
        if not found:  # most are local names and what is taken of them
            return ""
        rest = dotted(expression).partition(".")[2]
        return f"{found}.{rest}" if rest else found

    def of_name(self, name: str) -> str:
        """Return the full name of a name; empty for one that nothing binds."""
        found = self._known.get(name)
        if found is None:
            found = self._local.get(name) or ("" if name in self._hidden else self._bound(name))
            self._known[name] = found
        return found

    def every(self) -> dict[str, str]:
        """Return every name that the module binds, with its full name."""
        return {name: self._local.get(name) or self._bound(name) for name in {*self._bindings, *self._local}}

    def _bound(self, name: str) -> str:
        candidates = self._bindings.get(name, ())
        for candidate in candidates:  # of several, an import says more than a fallback
            if candidate.origin is Origin.IMPORT and not candidate.called:
                return ".".join(filter(None, (candidate.module, *candidate.attributes)))
        return f".{name}" if candidates else ""

    def with_local(self, local: Mapping[str, str]) -> "FullNames":
        """Return these names with some that stand for something else."""
        return self._with({**self._local, **local}, self._hidden)

    def _with(self, local: Mapping[str, str], hidden: Set[str]) -> "FullNames":
        return FullNames(self._bindings, importing=self._importing, local=local, hidden=hidden)

    def within(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> "FullNames":
        """Return the names as they are in `function`: its parameters hide the module's, its imports add to them."""
        found = self._inner.get(function)
        if found is None:
            found = self._inner[function] = self._in(function)
        return found

    def _in(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> "FullNames":
        arguments = function.args
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
        hidden = {argument.arg for argument in every if argument}
        local = {name: full for name, full in self._local.items() if name not in hidden}
        pending: list[ast.stmt] = list(function.body) if function in self._importing else []
        while pending:
            node = pending.pop()
            if isinstance(node, ast.Import):
                local |= {alias.asname: alias.name for alias in node.names if alias.asname}
                local |= {part: part for part in _tops(node.names)}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                local |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            else:
                for field in _BLOCKS.get(node.__class__, ()):
                    pending += [each for part in getattr(node, field) for each in _statements(part)]
        return self._with(local, self._hidden | hidden)


def _statements(part: ast.AST) -> list[ast.stmt]:
    return part.body if isinstance(part, ast.ExceptHandler) else [part] if isinstance(part, ast.stmt) else []


def _tops(names: Iterable[ast.alias]) -> list[str]:
    return [alias.name.partition(".")[0] for alias in names if not alias.asname]
