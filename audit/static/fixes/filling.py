"""The fix of a fill with a number that half precision does not have."""

import ast
from collections.abc import Callable

from audit.static.fixes.arguments import arguments_of
from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.importing import reference
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety
from audit.static.rules.syntax import number, receiver


def least_of_its_dtype(call: ast.Call, context: FileContext) -> Callable[[SourceText], Fix | None] | None:
    """Return what works out the fix of `x.masked_fill(mask, -1e9)`: the least number that the dtype of `x` has.

    None where `x` is no plain name, so that asking for its dtype would compute it a second time.
    """
    of = receiver(call)
    if not isinstance(of, ast.Name):
        return None
    name = of.id

    def edits(source: SourceText) -> Fix | None:
        values = [each for each in arguments_of(call, source) or () if (number(each.value) or 0.0) < 0.0]
        torch = reference("torch.finfo", context, source, at=call)
        if len(values) != 1 or torch is None:
            return None
        text, imports = torch
        filled = Edit(values[0].value_start, values[0].end, f"{text}({name}.dtype).min")
        return fix([*imports, filled], FixSafety.UNSAFE)

    return edits
