"""Parses a command of this tool with its real command line, without running it."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol, Self, cast

import typer
import typer.main

from validation.readiness.documents.command_lines import PLACEHOLDER

PROGRAM = "astrobio-audit"
# The base of click's errors of usage; typer brings a click of its own.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
_STANDS_FOR = re.compile(rf"{PLACEHOLDER}|[A-Z][A-Z0-9_./:=-]*|.*path/to/.*")
_ENDS = frozenset({"help", "version"})  # options that end the command line where they stand


_Values = Mapping[str, object]


class _Context(Protocol):
    """What is used of click's context."""

    command_path: str


class _Parameter(Protocol):
    """What is used of an option or argument of click's."""

    name: str
    opts: list[str]
    required: bool
    callback: object

    def process_value(self, context: _Context, value: object) -> object:
        """Convert a value; raises click's error of usage."""


class _Parser(Protocol):
    """What is used of click's parser, which divides words into options and arguments and calls nothing."""

    def parse_args(self, args: list[str]) -> tuple[dict[str, object], list[str], object]:
        """Return the values by name, and what is left; raises click's error of usage."""


class _Command(Protocol):
    """What is used of click's command; a group also has `get_command`."""

    params: list[_Parameter]

    def context_class(self, command: Self, *, info_name: str, parent: _Context | None) -> _Context:
        """Make a context."""

    def make_parser(self, context: _Context) -> _Parser:
        """Make the parser."""

    def get_command(self, context: _Context, name: str) -> Self | None:
        """Return the command of that name."""


@cache
def _command_line() -> _Command:
    from audit import cli

    return cast(_Command, typer.main.get_command(cli.complete_app()))


def problem_of(words: Sequence[str], *, is_whole: bool) -> str | None:
    """Return what is wrong with a command, whose first word is the program; None where nothing is.

    Words in capital letters stand for something, and files need not exist. A command that is not whole, for it is
    named in a sentence, may leave out what it requires.
    """
    command, name, left = _command_line(), words[0], list(words[1:])
    parent: _Context | None = None
    while True:
        context = command.context_class(command, info_name=name, parent=parent)
        try:
            values, left, _ = command.make_parser(context).parse_args(left)
        except _UsageError as problem:
            return f"`{context.command_path}`: {_words(problem)}"
        if any(values.get(key) for key in _ENDS):
            return None
        if wrong := _wrong_value(command, context, values):
            return f"`{context.command_path}`: {wrong}"
        if not hasattr(command, "get_command"):
            return _after_the_last(command, context, values, left, is_whole)
        if not left:
            return None
        name = left.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return None if _STANDS_FOR.fullmatch(name) else f"`{context.command_path}` has no command {name!r}"
        command, parent = found, context


def _after_the_last(
    command: _Command, context: _Context, values: _Values, left: Sequence[str], is_whole: bool
) -> str | None:
    if left:
        return f"`{context.command_path}` takes no further argument: {left[0]!r}"
    if is_whole:
        for parameter in command.params:
            if parameter.required and values.get(parameter.name) in (None, (), []):
                return f"`{context.command_path}` needs {parameter.name.upper()}"
    return None


def _wrong_value(command: _Command, context: _Context, values: _Values) -> str | None:
    for parameter in command.params:
        given = values.get(parameter.name)
        texts = given if isinstance(given, list | tuple) else [given]
        if parameter.callback or not any(texts) or any(map(_is_not_to_be_judged, texts)):
            continue
        try:
            parameter.process_value(context, given)
        except _UsageError as problem:
            return f"{parameter.opts[0]}: {_words(problem)}"
    return None


def _is_not_to_be_judged(value: object) -> bool:
    """Return whether a value stands for something, is a path, or was made by the parser."""
    return not isinstance(value, str) or "/" in value or "." in value or bool(_STANDS_FOR.fullmatch(value))


def _words(problem: BaseException) -> str:
    return " ".join(str(getattr(problem, "message", problem)).split())
