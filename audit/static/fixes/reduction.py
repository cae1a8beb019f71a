"""The fix of `size_average` and `reduce`, which torch's losses take for `reduction`."""

import ast
from collections.abc import Callable

from audit.static.fixes.arguments import arguments_of, find, renamed, without
from audit.static.fixes.edits import Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.rule import FixSafety
from audit.static.rules.syntax import constant


def reduction_instead(call: ast.Call, *, inputs: int) -> Callable[[SourceText], Fix | None]:
    """Return what works out the fix; `inputs` is how many arguments come before those that may be given by position.

    The old arguments win over `reduction`, as `torch.nn._reduction.legacy_get_string` has it.
    """

    def edits(source: SourceText) -> Fix | None:
        arguments = arguments_of(call, source) or []
        old = [each for each in arguments if each.name in ("size_average", "reduce")]
        values = {each.name: constant(each.value) for each in old}
        positional = sum(each.name is None for each in arguments)
        if positional > inputs or any(each.unpacked for each in arguments):
            return None
        if not all(value is None or isinstance(value, bool) for value in values.values()):
            return None
        average, reduce = (values.get(name) in (None, True) for name in ("size_average", "reduce"))
        word = "mean" if average and reduce else "sum" if reduce else "none"
        given = find(arguments, "reduction")
        first = given or old[0]
        removed = without(call, [each for each in old if each is not first], source)
        if removed is None:
            return None
        found = [*renamed(first, f"reduction={source.quoted(word)}"), *removed]
        return fix(found, FixSafety.SAFE)

    return edits
