"""The command line `astrobio-audit`. Command groups join through the entry-point group `astrobio_audit.commands`.

A command's body is imported when it runs: `--help` must load neither torch nor a model of the report.
"""

import errno
import signal
import sys
import traceback
import types
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from audit import __version__
from audit.attention.cli import register as register_attention
from audit.command_line import OneLineGroup
from audit.errors import EXIT_INCOMPLETE, ReaderGone, Stopped, Unfinished, UsageError
from audit.options import ConfigOption, JsonOption, PythonOption, QuietOption, TargetOption, leaving
from audit.options import examples as examples_
from audit.plugins import COMMANDS, plugins
from audit.report.cli import report_app
from audit.report.files import WriteError
from audit.report.streams import discard_output, prepare_streams
from audit.report.text import one_line, plain
from audit.starting.cli import register as register_init
from audit.static.cli import register as register_static
from audit.static.fixes.cli import register as register_fix
from audit.static.rules.cli import register as register_rules
from audit.stopping import is_stop_wanted, want_stop

EXIT_USAGE = 2
# CI that cancels a job, and a terminal that is closed, get the same partial report as Ctrl-C.
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EXIT_ABORTED = 130  # typer's, where Ctrl-C comes while a command's modules load
_STOPPED = "stopped before there was anything to report"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

_HELP = """Tells whether a PyTorch model package is ready, with evidence for every pass.

\b
Exit codes:
  0  ready, or clean
  1  not ready, or findings
  2  usage error, or a filter that selects nothing
  3  incomplete, stopped, or an internal error"""

app = typer.Typer(
    name="astrobio-audit",
    cls=OneLineGroup,
    help=_HELP + examples_("astrobio-audit doctor", "astrobio-audit readiness --target path/to/project"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(report_app, name="report")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"astrobio-audit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options of the program itself."""


register_static(app)
register_attention(app)
register_rules(app)
register_fix(app)
register_init(app)


@app.command(
    help="Show what the target's interpreter has: Python, torch, CUDA, accelerators, triton, flash-attn, memory; what "
    "is missing, and what that disables."
    + examples_("astrobio-audit doctor", "astrobio-audit doctor --python .venv/bin/python --json")
)
def doctor(
    target: TargetOption = None,
    python: PythonOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Examine an interpreter."""
    from audit.doctor import examine

    with leaving():
        examine(python, target or Path("."), as_json=as_json, quiet=quiet, config=config)


def _load_command_groups() -> None:
    """Add the commands of other modules, our own first; of a plug-in that does not load, tell, and go on without it."""
    for plugin in plugins(COMMANDS):
        if plugin.is_own:
            plugin.entry.load()(app)
            continue
        commands, groups = list(app.registered_commands), list(app.registered_groups)
        if problem := plugin.read(_add_commands_of).problem:
            app.registered_commands[:], app.registered_groups[:] = commands, groups
            typer.echo(f"astrobio-audit: {one_line(problem, limit=None)}", err=True)


def _add_commands_of(plugin: object) -> None:
    """Have a plug-in add its commands.

    Raises:
        ValueError: it is no function, or a name of its commands is taken.
    """
    if not callable(plugin):
        raise ValueError("it must name a function that takes the application")
    plugin(app)
    names = [each.name or getattr(each.callback, "__name__", "").replace("_", "-") for each in app.registered_commands]
    names += [str(each.name) for each in app.registered_groups]
    taken = [name for name in names if names.count(name) > 1]
    if taken:
        raise ValueError(f"there is a command {taken[0]} already")
    typer.main.get_command(app)  # raises where a command's parameters are of kinds that no command line can give


def _leave(message: str, code: int) -> NoReturn:
    typer.echo(f"astrobio-audit: {message}", err=True)
    raise SystemExit(code)


def _leave_with_line(message: object, code: int) -> NoReturn:
    _leave(one_line(str(message), limit=None), code)  # keys, names and paths in it may be the target's


def _leave_with_traceback() -> NoReturn:
    _leave(f"internal error; please report it:\n{plain(traceback.format_exc())}", EXIT_INCOMPLETE)


def _interrupt(signum: int, frame: types.FrameType | None) -> None:
    for each in _STOPPING:  # once is enough: the partial report is written within seconds, and a second would lose it
        signal.signal(each, signal.SIG_IGN)
    want_stop()
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; every way out has the exit code that `--help` states."""
    for each in _STOPPING:
        signal.signal(each, _interrupt)
    prepare_streams()
    try:
        try:
            _load_command_groups()
            app()
        finally:
            sys.stdout.flush()  # here, where a full disk can still be reported
    except UsageError as error:
        _leave_with_line(error, EXIT_USAGE)
    except (WriteError, Unfinished) as error:
        _leave_with_line(error, EXIT_INCOMPLETE)
    except ReaderGone:
        discard_output()
        raise SystemExit(EXIT_INCOMPLETE) from None
    except SystemExit as left:
        if left.code != _EXIT_ABORTED or not is_stop_wanted():
            raise
        _leave_with_line(_STOPPED, EXIT_INCOMPLETE)
    except (KeyboardInterrupt, Stopped):
        _leave_with_line(_STOPPED, EXIT_INCOMPLETE)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            _leave_with_traceback()
        discard_output()
        _leave_with_line(f"output could not be written: {error.strerror}", EXIT_INCOMPLETE)
    except Exception:  # a defect of ours; uncaught it would leave with 1, which says "not ready"
        _leave_with_traceback()


def complete_app() -> typer.Typer:
    """Return the application with the commands of installed packages, for what asks which commands there are."""
    if "readiness" not in {command.name for command in app.registered_commands}:  # which `main` adds
        _load_command_groups()
    return app


if __name__ == "__main__":
    main()
