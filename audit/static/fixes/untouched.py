"""Whether two syntax trees differ only where the text was edited."""

import ast
from collections.abc import Sequence

from audit.static.fixes.edits import Edit
from audit.static.fixes.source import SourceText

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def differ_only_where_edited(old: ast.Module, new: ast.Module, source: SourceText, edits: Sequence[Edit]) -> bool:
    """Return whether every statement of `old` that no edit touches stands in `new` as it was, in the same order.

    `source` is the text of `old`. Of a compound statement the header and the statements in it are compared apart.
    """
    return _same_block(old.body, new.body, source, edits)


def _same_block(old: Sequence[ast.AST], new: Sequence[ast.AST], source: SourceText, edits: Sequence[Edit]) -> bool:
    if len(old) == len(new):
        return all(_same(one, other, source, edits) for one, other in zip(old, new, strict=True))
    rest = iter([ast.dump(each) for each in new])
    kept = [ast.dump(each) for each in old if not _is_touched(each, source, edits)]
    return len(kept) < max(len(old), len(new)) and all(each in rest for each in kept)


def _same(old: ast.AST, new: ast.AST, source: SourceText, edits: Sequence[Edit]) -> bool:
    if ast.dump(old) == ast.dump(new):
        return True
    if not _is_touched(old, source, edits, whole_lines=True):
        return False
    blocks = [name for name in _BLOCKS if isinstance(getattr(old, name, None), list)]
    if type(old) is not type(new) or not blocks:
        return True
    if _header(old) != _header(new) and not _header_is_touched(old, source, edits):
        return False
    return all(_same_block(getattr(old, name), getattr(new, name), source, edits) for name in blocks)


def _is_touched(node: ast.AST, source: SourceText, edits: Sequence[Edit], *, whole_lines: bool = False) -> bool:
    """Return whether an edit is made in a statement; with `whole_lines`, in its lines: a block may be added to."""
    if not hasattr(node, "lineno"):  # a `case` has no place of its own
        return True
    start, end = _start(node, source), source.end(node)
    if whole_lines:
        start, end = source.line_start(start), source.line_end(end)
    return any(edit.start <= end and start <= edit.end for edit in edits)


def _header_is_touched(node: ast.AST, source: SourceText, edits: Sequence[Edit]) -> bool:
    if not hasattr(node, "lineno"):
        return True
    first = [block[0] for name in _BLOCKS if (block := getattr(node, name, None)) and hasattr(block[0], "lineno")]
    start, end = _start(node, source), min((_start(each, source) for each in first), default=source.end(node))
    return any(edit.start < end and start <= edit.end for edit in edits)


def _start(node: ast.AST, source: SourceText) -> int:
    """Return where a statement begins, its decorators included."""
    decorators = getattr(node, "decorator_list", None)
    return min([source.start(node), *(source.start(each) for each in decorators or ())])


def _header(node: ast.AST) -> list[str]:
    """Return what a compound statement holds outside of its blocks."""
    return [
        f"{name}={[ast.dump(each) if isinstance(each, ast.AST) else repr(each) for each in _listed(value)]}"
        for name, value in ast.iter_fields(node)
        if name not in _BLOCKS
    ]


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
