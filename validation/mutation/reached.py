"""Whether a statement is run at all: an exception in its place says so, and needs no tracing of the target."""

import ast

# Not an `Exception`: code that falls back from what fails would hide that it was there.
_RAISE = "raise BaseException('this statement is run')"


def refusing(text: str, line: int) -> str | None:
    """Return a file that raises where the innermost statement around a line begins.

    None where nothing can stand in front of that statement, such as before an `elif`, or it is no part of a function:
    what is at the top of a module is run by every import.
    """
    lines = text.splitlines(keepends=True)
    found = _innermost(ast.parse(text), line)
    if found is None:
        return None
    first = min([found.lineno, *(each.lineno for each in getattr(found, "decorator_list", []))])
    before = lines[first - 1].encode()[: found.col_offset].decode() if first == found.lineno else ""
    indent = lines[first - 1][: len(lines[first - 1]) - len(lines[first - 1].lstrip())]
    if before.strip():  # behind a colon or a semicolon
        lines[first - 1] = f"{before}{_RAISE}; {lines[first - 1][len(before) :]}"
    else:
        lines.insert(first - 1, f"{indent}{_RAISE}\n")
    changed = "".join(lines)
    try:
        ast.parse(changed)
    except SyntaxError:
        return None
    return changed


def _innermost(tree: ast.Module, line: int) -> ast.stmt | None:
    """Return the innermost statement of a function that covers a line; of those that begin in it, the outermost."""
    found: ast.stmt | None = None
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, in_function = pending.pop()
        if isinstance(node, ast.stmt):
            decorators = [each.lineno for each in getattr(node, "decorator_list", [])]
            if not min([node.lineno, *decorators]) <= line <= (node.end_lineno or node.lineno):
                continue
            if in_function and (found is None or found.lineno != node.lineno):
                found = node
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        pending += [(child, inside) for child in reversed(list(ast.iter_child_nodes(node)))]
    return found
