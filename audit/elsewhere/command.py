"""The same command on another machine: its progress is shown here, and its document is read and delivered here.

Only the JSON that the command prints there counts. It is validated like a file that somebody sent; Markdown and all
else is made of it here.
"""

import codecs
import os
import sys
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import typer
from pydantic import ValidationError
from typer.models import ArgumentInfo, OptionInfo

from audit.elsewhere.process import Connection, GatewayEnded
from audit.elsewhere.served_command import STOP
from audit.elsewhere.specs import read_gateways
from audit.elsewhere.starting import Wanted, started
from audit.errors import EXIT_INCOMPLETE, UsageError
from audit.options import CONFIG_VARIABLE, PYTHON_VARIABLE
from audit.provenance import git_state
from audit.report.document import Report
from audit.report.text import one_line
from audit.stopping import is_stop_wanted

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from audit.options import ElsewhereOptions

_MODULE = "audit.elsewhere.served_command"
_SILENT_S = 120.0  # it tells every 5 s that it is there
_MAX_BYTES = 512 * 1024 * 1024  # as of a report that is read from a file
_MAX_LINE = 4096
_EXIT_USAGE = 2
_LAST_WORDS = "astrobio-audit: "
# A path that a variable of this machine names, and no flag, says nothing of another machine.
_OF_THIS_MACHINE = {"python": PYTHON_VARIABLE, "config": CONFIG_VARIABLE}
# What is done here with the document that comes back, and what names a folder of this machine.
_DONE_HERE = frozenset(("target", "output", "as_json", "format", "quiet", "gateway"))


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended there, and what it printed."""

    status: int
    printed: bytes
    last_line: str


def report_from(options: "ElsewhereOptions", command: str, folder: Path) -> Report:
    """Run an area's command on the machine that `--gateway` names, and return its report.

    Raises:
        UsageError: the machine cannot be used, or the command refuses its options there.
        typer.Exit: it ended there without a report.
    """
    assert options.gateway is not None
    done = run_elsewhere(options.gateway, words_of(options, command), folder=folder, quiet=options.quiet)
    refuse_without_document(options.gateway, done)
    try:
        report = Report.model_validate_json(done.printed)
    except ValidationError as error:
        raise _unreadable(options.gateway, error) from error
    if report.command != command or report.part is not None:
        raise UsageError(f"--gateway {options.gateway}: sent the report of another command, {report.command!r}")
    return report


def refuse_without_document(gateway: str, done: Done) -> None:
    """Raise where a command has printed no document.

    Raises:
        UsageError: the command was refused there.
        typer.Exit: it ended for another reason, which is printed.
    """
    if done.printed.strip():
        return
    said = done.last_line.removeprefix(_LAST_WORDS) or f"ended with status {done.status}"
    if done.status == _EXIT_USAGE:
        raise UsageError(f"--gateway {gateway}: {said}")
    typer.echo(f"astrobio-audit: --gateway {gateway}: no document came back: {said}", err=True)
    raise typer.Exit(EXIT_INCOMPLETE)


def _unreadable(gateway: str, error: ValidationError) -> UsageError:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    return UsageError(f"--gateway {gateway}: what came back is not a valid report: {where}: {first['msg']}")


def words_of(options: "DataclassInstance", command: str, *, done_here: frozenset[str] = _DONE_HERE) -> list[str]:
    """Return the words of a command line that sets the same options, but for those that are dealt with here."""
    kinds = get_type_hints(type(options), include_extras=True)
    words, arguments = [command, "--json"], []
    for each in fields(options):
        value = getattr(options, each.name)
        if each.name in done_here or each.default is MISSING or value == each.default or value is None:
            continue
        if each.name in _OF_THIS_MACHINE and os.environ.get(_OF_THIS_MACHINE[each.name]) == str(value):
            continue
        (info,) = (known for known in kinds[each.name].__metadata__ if isinstance(known, OptionInfo | ArgumentInfo))
        if isinstance(info, ArgumentInfo):
            arguments += [str(word) for word in value]
        else:
            words += _option(info, value)
    return [*words, *(["--", *arguments] if arguments else [])]


def _option(info: OptionInfo, value: Any) -> list[str]:
    declared = (info.default, *(info.param_decls or ()))  # in an annotation the first name stands where a default would
    name = next(each for each in declared if isinstance(each, str) and each.startswith("--"))
    if isinstance(value, bool):
        on, _, off = name.partition("/")
        return [on if value else off]
    values = value if isinstance(value, list | tuple) else [value]
    return [f"{name}={each}" for each in values]


def run_elsewhere(gateway: str, words: Sequence[str], *, folder: Path, quiet: bool) -> Done:
    """Run a command of the toolkit on another machine, and show what it says on its way.

    Ctrl-C is passed on once: the command ends with what it has measured.

    Raises:
        UsageError: the machine cannot be used, or is lost on the way.
    """
    specs = read_gateways([gateway])
    if len(specs) != 1:
        raise UsageError(f"--gateway {gateway}: a command runs on one machine")
    root = folder.resolve()
    wanted = Wanted(folder=root, commit=git_state(root)[0], module=_MODULE, given={"words": list(words)})
    try:
        connection = started(specs[0], wanted, is_stopping=is_stop_wanted)
        try:
            return _followed(connection, _Lines(quiet=quiet))
        finally:
            connection.close()
    except GatewayEnded as ended:
        raise UsageError(f"--gateway {gateway}: {ended}") from ended


def _followed(connection: Connection, lines: "_Lines") -> Done:
    printed: list[bytes] = []
    size, is_told = 0, False
    while True:
        try:
            message = connection.receive(within_s=_SILENT_S)
        except KeyboardInterrupt:
            if is_told:
                raise
            is_told = True
            connection.send(STOP)
            continue
        match message:
            case ("alive",):
                pass
            case ("out", bytes() as chunk):
                size += len(chunk)
                printed.append(chunk)
            case ("err", bytes() as chunk):
                lines.add(chunk)
            case ("ended", int() as status):
                lines.finish()
                return Done(status=status, printed=b"".join(printed), last_line=lines.last)
            case _:
                raise GatewayEnded("a message that is not one of the toolkit's")
        if size > _MAX_BYTES:
            raise GatewayEnded(f"printed more than {_MAX_BYTES} bytes")


class _Lines:
    """Shows lines as they are complete, with nothing in them that could move the cursor."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = ""
        self.last = ""

    def add(self, chunk: bytes) -> None:
        """Take some more of what was said."""
        *whole, self._begun = (self._begun + self._decoder.decode(chunk)).split("\n")
        self._begun = self._begun[-_MAX_LINE:]
        for line in whole:
            self._show(line)

    def finish(self) -> None:
        """Show a last line that has no end."""
        self._show(self._begun)

    def _show(self, line: str) -> None:
        if shown := one_line(line, _MAX_LINE):
            self.last = shown
            if not self._quiet and not shown.startswith(_LAST_WORDS):  # these are said again, with the machine's name
                typer.echo(shown, file=sys.stderr)
