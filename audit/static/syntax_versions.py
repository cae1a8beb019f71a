"""Whether a file that this interpreter does not parse is valid in another Python, as far as that can be verified.

For a newer one: what is new in its grammar is written in the old way, and only when the rest then parses is it said
which version the file needs. For an older one: what stands at the error is something that no Python 3 takes.
"""

import ast
import re
import sys
from collections.abc import Iterator

from audit.static.literals import Literal, NotLiteralError, parses, without_literals

_MAX_CHARACTERS = 1_000_000  # taking literals out of the way is slow, and files of that size are generated
Version = tuple[int, int]
NEEDS_VERSION = re.compile(r"Python >= \d+\.\d+")

_TYPE_STATEMENT = re.compile(r"^([ \t]*)type[ \t]+(\w+)[ \t]*(?=\[|=(?!=))", re.MULTILINE)
_GENERIC = re.compile(r"^([ \t]*(?:async[ \t]+def|def|class)[ \t]+\w+)[ \t]*\[", re.MULTILINE)
_GENERIC_TYPE = re.compile(r"^([ \t]*\w+)[ \t]*\[(?=.*=)", re.MULTILINE)
_BARE_EXCEPT = re.compile(r"^([ \t]*except\*?[ \t]+)([^\s(][^:\n]*,[^:\n]*):", re.MULTILINE)
_LAZY = re.compile(r"^([ \t]*)lazy[ \t]+(?=import\b|from\b)", re.MULTILINE)
_NAMED_EXCEPTION = re.compile(r"[\w. \t]+|\([^()]*\)")  # before the comma of `except E, e:`
_OLD_EXCEPT = re.compile(r"^[ \t]*except[ \t]+(.+?)[ \t]*,[ \t]*([a-z_]\w*)[ \t]*:", re.MULTILINE)

_OF_PYTHON_2 = (  # in the message of the error, or in its line without literals
    (re.compile(r"Missing parentheses in call to 'print'"), None, "print statement"),
    (re.compile(r"Missing parentheses in call to 'exec'"), None, "exec statement"),
    (re.compile(r"leading zeros in decimal integer"), None, "octal number without 0o"),
    (None, re.compile(r"^\s*print[ \t]+['\"\w]"), "print statement"),
    (None, re.compile(r"^\s*exec[ \t]+['\"\w]"), "exec statement"),
    (None, re.compile(r"\braise[ \t]+[\w.]+[ \t]*,"), "raise with a comma"),
    (None, _OLD_EXCEPT, "except with a comma"),
    (None, re.compile(r"<>"), "operator <>"),
    (None, re.compile(r"`[^`]+`"), "backquotes"),
    (None, re.compile(r"(?<!\w)(?:\d+|0[xX][0-9a-fA-F]+)[lL]\b"), "long number"),
)


def version_in_words(text: str, error: SyntaxError) -> str | None:
    """Return which Python the file with this text needs, with what in it says so; None where that is not known."""
    if len(text) > _MAX_CHARACTERS:
        return None
    literals: list[Literal] = []
    try:
        code = without_literals(text, literals.append)
    except NotLiteralError:
        code = ""
    if sign := _sign_of_python_2(code, error):
        return f"is Python 2 ({sign})"
    needed = _newer(code, literals) if code else {}
    if not needed:
        return None
    version = max(needed.values())
    constructs = ", ".join(name for name, each in needed.items() if each == version)
    return f"needs Python >= {version[0]}.{version[1]} ({constructs})"


def needed_by_tree(tree: ast.Module) -> tuple[Version, str] | None:
    """Return the oldest Python that takes a tree which this one took, and what needs it; None where nothing is new."""
    return max((found for node in ast.walk(tree) for found in _new_in(node)), default=None)


def _new_in(node: ast.AST) -> Iterator[tuple[Version, str]]:
    if isinstance(node, ast.Match):
        yield (3, 10), "match statement"
    if isinstance(node, ast.TryStar):
        yield (3, 11), "except*"
    if isinstance(node, ast.NamedExpr):
        yield (3, 8), "operator :="
    if isinstance(node, ast.arguments) and node.posonlyargs:
        yield (3, 8), "positional-only parameters"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        yield from (((3, 11), "star in an index") for part in node.slice.elts if isinstance(part, ast.Starred))
    if getattr(node, "type_params", None):  # since Python 3.12, as are the nodes below
        yield (3, 12), "type parameters"
    if type(node).__name__ == "TypeAlias":
        yield (3, 12), "type statement"
    if type(node).__name__ == "TemplateStr":
        yield (3, 14), "t-string"


def _sign_of_python_2(code: str, error: SyntaxError) -> str | None:
    lines = code.split("\n")
    line = lines[error.lineno - 1] if error.lineno and error.lineno <= len(lines) else ""
    for message, written, sign in _OF_PYTHON_2:
        if (message and message.search(error.msg)) or (written and written.search(line)):
            return sign
    return None


def _newer(code: str, literals: list[Literal]) -> dict[str, Version]:
    """Return the constructs without which the file parses here, each with the version that brought it; else none."""
    needed: dict[str, Version] = {}
    for literal in literals:
        if "t" in literal.prefix:
            needed["t-string"] = (3, 14)
        elif not parses(literal.text):
            if "f" not in literal.prefix:
                return {}
            needed["quotes, backslash or comment in the field of an f-string"] = (3, 12)
    old = _in_the_old_way(code, needed)
    fields = (field for literal in literals for field in literal.fields)
    if not parses(old) or not all(parses(f"(\n{field}\n)") for field in fields):
        return {}
    return {name: version for name, version in needed.items() if version > sys.version_info[:2]}


def _in_the_old_way(code: str, needed: dict[str, Version]) -> str:
    """Return `code` without the constructs of newer versions, which are added to `needed`."""
    code, number = _LAZY.subn(r"\1", code)
    if number:
        needed["lazy import"] = (3, 15)
    code, number = _BARE_EXCEPT.subn(r"\1(\2):", code)
    if number:
        needed["except without parentheses"] = (3, 14)
    types = [match.start() for match in _TYPE_STATEMENT.finditer(code)]
    if types:
        needed["type statement"] = (3, 12)
        for start in reversed(types):
            line = _TYPE_STATEMENT.sub(r"\1\2 ", code[start:], count=1)
            code = code[:start] + _without_parameters(line, _GENERIC_TYPE, needed, anywhere=False)
    return _without_parameters(code, _GENERIC, needed, anywhere=True)


def _without_parameters(code: str, before: re.Pattern[str], needed: dict[str, Version], *, anywhere: bool) -> str:
    """Return `code` without the brackets that follow `before`: everywhere, or at its beginning only."""
    place = 0
    while opening := (before.search if anywhere else before.match)(code, place):
        end = _closing(code, opening.end())
        if end is None:
            return code
        parameters = code[opening.end() : end]
        needed["type parameters"] = (3, 12)
        if re.search(r"(?<![=!<>])=(?!=)", parameters):
            needed["type parameter with a default"] = (3, 13)
        code = opening[1] + code[end + 1 :] if not anywhere else code[: opening.end(1)] + code[end + 1 :]
        if not anywhere:
            return code
        place = opening.end(1)
    return code


def _closing(code: str, start: int) -> int | None:
    """Return where the bracket closes that is open at `start`."""
    depth = 1
    for bracket in re.compile(r"[][]").finditer(code, start):
        depth += 1 if bracket[0] == "[" else -1
        if not depth:
            return bracket.start()
    return None
