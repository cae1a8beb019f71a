"""The fix that puts a call of one function of a library in the place of a longer expression."""

import ast
from collections.abc import Callable, Sequence

from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.importing import reference
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety

Edits = Callable[[SourceText], Fix | None]


def called_instead(
    expression: ast.expr,
    function: str,
    arguments: Sequence[ast.expr | ast.keyword],
    context: FileContext,
    *,
    named: ast.expr,
    safety: FixSafety = FixSafety.UNSAFE,
) -> Edits:
    """Return what works out the call of `function` with `arguments` in the place of an expression.

    `named` is a name in it from which that of the function can be told. There is no fix where a comment would be lost,
    or an argument cannot stand without its parentheses.
    """

    def edits(source: SourceText) -> Fix | None:
        start, end = source.start(expression), source.end(expression)
        name = reference(function, context, source, at=expression, instead_of=named)
        loose = (ast.Yield, ast.YieldFrom, ast.GeneratorExp, ast.NamedExpr, ast.Starred)
        if name is None or "#" in source.text[start:end] or any(isinstance(each, loose) for each in arguments):
            return None
        text, imports = name
        given = ", ".join(source.of(each) for each in arguments)
        return fix([*imports, Edit(start, end, f"{text}({given})")], safety)

    return edits
