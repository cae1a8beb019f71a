"""What is wrong with a command line, in one line that names what may be meant, in place of click's three."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from audit.errors import UsageError
from audit.near import hint

# The base of click's errors of usage; typer brings a click of its own.
_ClickError: type[Exception] = typer.BadParameter.__mro__[1]
_SHOWS_HELP = "NoArgsIsHelpError"  # a group without a command: what it says is the help
_QUOTED = re.compile(r"'([^']*)'")
_NO_CHOICE = " is not one of "


class OneLineGroup(TyperGroup):
    """The commands of the program; whatever click refuses below it leaves as an error of usage of our own."""

    def make_context(self, *given: Any, **named: Any) -> Any:
        """Read the options of the program."""
        with _in_one_line():
            return super().make_context(*given, **named)

    def invoke(self, ctx: Any) -> Any:
        """Find the command, read its words and run it."""
        with _in_one_line():
            return super().invoke(ctx)


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except _ClickError as problem:
        if type(problem).__name__ == _SHOWS_HELP:
            raise
        raise UsageError(_told(problem)) from problem


def _told(problem: Any) -> str:
    context = problem.ctx
    path = context.command_path.split() if context else []
    before = "".join(f"{word} " for word in path[1:])
    said = " ".join(problem.format_message().split()).rstrip(".")
    if option := getattr(problem, "option_name", None) if hasattr(problem, "possibilities") else None:
        known = [name for each in context.command.params for name in (*each.opts, *each.secondary_opts)]
        return f"{before}{option}: no such option; {hint(option, known, otherwise=_help(path))}"
    commands = getattr(context.command, "commands", None) if context else None
    if commands and said.startswith("No such command"):
        name = _QUOTED.findall(said)[0]
        return f"{before}{name}: no such command; {hint(name, commands, otherwise=_help(path), shortened=True)}"
    if _NO_CHOICE in said and getattr(problem, "param", None):
        given, *choices = _QUOTED.findall(problem.message)
        name = max(problem.param.opts, key=len)
        otherwise = f"there are: {', '.join(choices)}"
        return f"{before}{name} {given}: no such value; {hint(given, choices, otherwise=otherwise, shortened=True)}"
    place = f"{' '.join(path[1:])}: " if path[1:] else ""
    more = f"; {_help(path)}" if path else ""
    return f"{place}{said[:1].lower()}{said[1:]}{more}"


def _help(path: list[str]) -> str:
    return f"`{' '.join(('astrobio-audit', *path[1:]))} --help` tells more"
