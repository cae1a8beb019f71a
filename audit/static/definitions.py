"""Where a function or class of the target is defined, and the digest of its source."""

import ast
from dataclasses import dataclass

from audit.static.discovery import SourceFile
from audit.static.lines import SourceLines
from audit.static.reading import ParsedFile, read

_Definable = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Definition:
    """A class or function: path relative to the root, line of its keyword, SHA-256 of its source lines."""

    path: str
    line: int
    digest: str


def find_function(file: SourceFile, qualname: str) -> Definition | None:
    """Return the last function or method of this qualified name in `file`; None where there is none."""
    return _find(file, qualname, (ast.FunctionDef, ast.AsyncFunctionDef))


def find_class(file: SourceFile, qualname: str) -> Definition | None:
    """Return the last class of this qualified name in `file`, reached when it runs or not; None where there is none."""
    return _find(file, qualname, (ast.ClassDef,))


def _find(file: SourceFile, qualname: str, kinds: tuple[type[_Definable], ...]) -> Definition | None:
    parsed = read(file)
    if not isinstance(parsed, ParsedFile):
        return None
    body: list[ast.stmt] = parsed.tree.body
    *scopes, name = qualname.split(".")
    for scope in scopes:
        body = next((node.body for node in reversed(body) if isinstance(node, ast.ClassDef) and node.name == scope), [])
    for node in reversed(body):
        if isinstance(node, kinds) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            digest = SourceLines(parsed.text).digest(first, node.end_lineno or node.lineno)
            return Definition(path=file.relative, line=node.lineno, digest=digest)
    return None
