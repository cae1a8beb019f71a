"""The options that commands share, and how a command is made of them. Imports typer only: `--help` stays fast."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, get_type_hints

import typer

from audit.errors import Stopped, Unfinished, UsageError
from audit.profiles import Profile

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Given = TypeVar("Given", bound=DataclassInstance)
else:
    Given = TypeVar("Given")


# What stands in for a flag that is not given; a flag wins over its variable, and that over the configuration.
# ASTROBIO_AUDIT_CACHE and NO_COLOR have no flag.
CONFIG_VARIABLE = "ASTROBIO_AUDIT_CONFIG"
PYTHON_VARIABLE = "ASTROBIO_AUDIT_PYTHON"
SEED_VARIABLE = "ASTROBIO_AUDIT_SEED"
WORKERS_VARIABLE = "ASTROBIO_AUDIT_WORKERS"
VARIABLES = (CONFIG_VARIABLE, PYTHON_VARIABLE, SEED_VARIABLE, WORKERS_VARIABLE)


class Format(StrEnum):
    """How a report is written to standard output."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"
    MARKDOWN = "markdown"
    SUMMARY = "summary"
    SARIF = "sarif"
    GITHUB = "github"
    JUNIT = "junit"
    BADGE = "badge"


TargetOption = Annotated[
    Path | None,
    typer.Option(
        "--target",
        "-t",
        metavar="DIR",
        help="Folder that holds the package and its pyproject.toml; the default is the current folder.",
    ),
]
TargetAroundOption = Annotated[
    Path | None,
    typer.Option(
        "--target",
        "-t",
        metavar="DIR",
        help="Folder with the pyproject.toml; the default is the current folder, or the project around what is named.",
    ),
]
PackageOption = Annotated[
    str | None, typer.Option("--package", "-p", metavar="NAME", help="Import name of the package under audit.")
]
PythonOption = Annotated[
    Path | None,
    typer.Option("--python", metavar="PATH", envvar=PYTHON_VARIABLE, help="Interpreter that can import the package."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar=CONFIG_VARIABLE,
        help="TOML file with the keys of [tool.astrobio-audit], in place of the one in pyproject.toml.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write the report as JSON to standard output.")]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="Write the report to standard output in this form; `--json` is short for json, and github adds a summary "
        "to the file that GITHUB_STEP_SUMMARY names.",
    ),
]


def named_path(given: str | Path) -> Path:
    """Return the path that `--output` names; an empty one, of a variable that is not set, would be the current folder.

    Raises:
        UsageError: it is empty.
    """
    if not str(given):
        raise UsageError("--output: it names nothing; give a path, or leave the option out")
    return Path(given)


QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary; the exit code tells.")]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="DIR", parser=named_path, help="Write the report as JSON, Markdown and HTML here."
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="CHECK", help="Run this check, area or rule only; may be repeated. Gives no verdict."
    ),
]
SubjectOption = Annotated[
    list[str] | None,
    typer.Option("--subject", metavar="NAME", help="Judge this subject only; may be repeated. Gives no verdict."),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", envvar=SEED_VARIABLE, help="Seed of weights and inputs.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", "-j", metavar="N", envvar=WORKERS_VARIABLE, help="Target processes side by side."),
]
GatewayOption = Annotated[
    str | None,
    typer.Option(
        "--gateway",
        metavar="SPEC",
        help="Run it on popen//python=PATH or ssh=HOST//python=PATH//chdir=DIR, which needs this toolkit and a "
        "checkout at the same commit, and deliver its report here.",
    ),
]
ProfileOption = Annotated[
    Profile | None,
    typer.Option(
        "--profile",
        help="Hardware that the release is judged for: what needs more is told and not judged, and the verdict says "
        "so. Without it, everything that is planned counts.",
    ),
]
CacheOption = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache", help="Keep what was read of unchanged files, in ASTROBIO_AUDIT_CACHE or ~/.cache."
    ),
]
KeepingOption = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Keep what was read and what was judged of unchanged files, in ASTROBIO_AUDIT_CACHE or ~/.cache; a run "
        "that was stopped goes on where it was, and a result that is not of this run says when it was measured.",
    ),
]
NotebooksOption = Annotated[bool, typer.Option("--notebooks", help="Read the code of Jupyter notebooks too.")]
ProbeOption = Annotated[
    bool,
    typer.Option("--probe", help="Try in a child process whether installed binaries that the package imports load."),
]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the options that all areas share were set to; a command with more of them derives a class."""

    target: TargetOption = None
    package: PackageOption = None
    python: PythonOption = None
    config: ConfigOption = None
    as_json: JsonOption = False
    format: FormatOption = None
    quiet: QuietOption = False
    output: OutputOption = None
    only: OnlyOption = None
    subject: SubjectOption = None
    seed: SeedOption = None
    workers: WorkersOption = None
    cache: CacheOption = True
    notebooks: NotebooksOption = False
    probe: ProbeOption = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UsageError: two options ask for different formats.
        """
        format_of(self.format, as_json=self.as_json)

    @property
    def folder(self) -> Path:
        """The folder with the pyproject.toml, where nothing else names one."""
        return self.target or Path(".")

    @property
    def form(self) -> Format:
        """The format in which the report is printed."""
        return format_of(self.format, as_json=self.as_json)

    @property
    def output_is_default(self) -> bool:
        """Whether the report is written to a folder that the user did not name."""
        return self.output is not None and self.output == type(self).output


@dataclass(frozen=True, kw_only=True)
class ElsewhereOptions(Options):
    """Of a command that can run on another machine."""

    gateway: GatewayOption = None


def format_of(chosen: Format | None, *, as_json: bool) -> Format:
    """Return the format that `--format` and `--json` ask for.

    Raises:
        UsageError: they ask for different ones.
    """
    if as_json and chosen not in (None, Format.JSON):
        raise UsageError(f"--json and --format {chosen} ask for different formats; give one of them")
    return Format.JSON if as_json else chosen or Format.TEXT


@contextmanager
def leaving() -> Iterator[None]:
    """Give Ctrl-C an exception of our own, for typer would leave with 130; and what a plug-in says of the exit code.

    No command of ours leaves by SystemExit, so the code would be one that no report stands behind.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped from None
    except SystemExit as left:
        raise Unfinished(f"something called sys.exit({left.code!r}) before there was a report") from left


def examples(*lines: str) -> str:
    """Return help text that shows command lines as they are."""
    return "\n\n\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def add_command(
    app: typer.Typer,
    options: type[Given],
    *,
    name: str,
    summary: str,
    examples_of: Sequence[str],
    run: Callable[[Given], None],
) -> None:
    """Add a command to `app` whose options are the fields of a dataclass.

    Args:
        app: the application to add to.
        options: a dataclass; each field is annotated with the `typer.Option` or `typer.Argument` that sets it.
        name: of the command.
        summary: what it does, one or two sentences.
        examples_of: command lines for its help.
        run: receives the options. What it needs beside them it imports itself, so that `--help` stays fast.
    """

    def command(**given: object) -> None:
        with leaving():
            run(options(**given))

    kinds = get_type_hints(options, include_extras=True)
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what typer reads
        [
            inspect.Parameter(
                each.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if each.default is MISSING else each.default,
                annotation=kinds[each.name],
            )
            for each in fields(options)
        ]
    )
    command.__annotations__ = {each.name: kinds[each.name] for each in fields(options)}
    app.command(name=name, help=summary + examples(*examples_of))(command)
