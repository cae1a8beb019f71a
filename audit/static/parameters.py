"""The parameters of a function as its source writes them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from audit.static.lines import SourceLines

Function = ast.FunctionDef | ast.AsyncFunctionDef

CONSTRUCTOR, FORWARD = "__init__", "forward"
METHODS = frozenset({CONSTRUCTOR, FORWARD})  # those of which a class's parameters are kept


class ParameterKind(StrEnum):
    """How an argument reaches a parameter; the values are the names in `inspect`, in lower case."""

    POSITIONAL_ONLY = "positional_only"
    POSITIONAL_OR_KEYWORD = "positional_or_keyword"
    VAR_POSITIONAL = "var_positional"
    KEYWORD_ONLY = "keyword_only"
    VAR_KEYWORD = "var_keyword"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; annotation and default are source text, None where there is none.

    The most frequent values come last, for those are not written to the store.
    """

    name: str
    annotation: str | None = None
    default: str | None = None
    kind: ParameterKind = ParameterKind.POSITIONAL_OR_KEYWORD


def parameters_of(function: Function, lines: SourceLines, *, bound: bool = False) -> tuple[Parameter, ...]:
    """Return the parameters in order; those of a `bound` method lack the first one, which no caller gives."""
    found = list(_parameters(function.args, lines))
    positional = (ParameterKind.POSITIONAL_ONLY, ParameterKind.POSITIONAL_OR_KEYWORD)
    takes_self = bound and not any(
        isinstance(each, ast.Name) and each.id == "staticmethod" for each in function.decorator_list
    )
    return tuple(found[1:] if takes_self and found and found[0].kind in positional else found)


def _parameters(arguments: ast.arguments, lines: SourceLines) -> Iterator[Parameter]:
    """Yield the parameters in the order in which `inspect.signature` has them."""
    positional = [*arguments.posonlyargs, *arguments.args]
    only = len(arguments.posonlyargs)
    first_default = len(positional) - len(arguments.defaults)
    for place, argument in enumerate(positional):
        default = arguments.defaults[place - first_default] if place >= first_default else None
        kind = ParameterKind.POSITIONAL_ONLY if place < only else ParameterKind.POSITIONAL_OR_KEYWORD
        yield _parameter(argument, default, kind, lines)
    if arguments.vararg:
        yield _parameter(arguments.vararg, None, ParameterKind.VAR_POSITIONAL, lines)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default, ParameterKind.KEYWORD_ONLY, lines)
    if arguments.kwarg:
        yield _parameter(arguments.kwarg, None, ParameterKind.VAR_KEYWORD, lines)


def _parameter(argument: ast.arg, default: ast.expr | None, kind: ParameterKind, lines: SourceLines) -> Parameter:
    annotation = argument.annotation
    return Parameter(
        name=argument.arg,
        annotation=lines.source(annotation) if annotation else None,
        default=lines.source(default) if default else None,
        kind=kind,
    )
