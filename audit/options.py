"""The options that area commands share. Imports typer only, so that `--help` stays fast."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audit.errors import Stopped, UsageError


class Format(StrEnum):
    """How a report is written to standard output."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"
    JUNIT = "junit"


TargetOption = Annotated[
    Path, typer.Option("--target", "-t", metavar="DIR", help="Folder that holds the package and its pyproject.toml.")
]
PackageOption = Annotated[
    str | None, typer.Option("--package", "-p", metavar="NAME", help="Import name of the package under audit.")
]
PythonOption = Annotated[
    Path | None, typer.Option("--python", metavar="PATH", help="Interpreter that can import the package.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write the report as JSON to standard output.")]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="Write the report to standard output in this form; `--json` is short for json."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary; the exit code tells.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write the report as JSON and Markdown here.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="CHECK", help="Run this check or area only; may be repeated. Gives no verdict."),
]
SubjectOption = Annotated[
    list[str] | None,
    typer.Option("--subject", metavar="NAME", help="Judge this subject only; may be repeated. Gives no verdict."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed of weights and inputs.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", "-j", metavar="N", help="Target processes side by side.")
]
CacheOption = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache", help="Keep what was read of unchanged files, in ASTROBIO_AUDIT_CACHE or ~/.cache."
    ),
]
NotebooksOption = Annotated[bool, typer.Option("--notebooks", help="Read the code of Jupyter notebooks too.")]
ProbeOption = Annotated[
    bool,
    typer.Option("--probe", help="Try in a child process whether installed binaries that the package imports load."),
]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the shared options were set to."""

    target: Path
    package: str | None
    python: Path | None
    format: Format
    quiet: bool
    output: Path | None
    output_is_default: bool
    only: tuple[str, ...]
    subjects: tuple[str, ...]
    seed: int | None
    workers: int | None
    cache: bool = True
    notebooks: bool = False
    probe: bool = False
    fail_fast: bool = False


@dataclass(frozen=True, kw_only=True)
class StaticOptions(Options):
    """What the options of `static` were set to."""

    paths: tuple[Path, ...] = ()
    target_is_given: bool = True
    baseline: Path | None = None
    write_baseline: Path | None = None
    diff_base: str | None = None
    statistics: bool = False
    add_noqa: bool = False
    watch: bool = False


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
    """Give Ctrl-C an exception of our own: typer would leave with 130."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped from None


def examples(*lines: str) -> str:
    """Return help text that shows command lines as they are."""
    return "\n\n\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def area_command(
    app: typer.Typer,
    *,
    name: str,
    summary: str,
    examples_of: Sequence[str],
    run: Callable[[Options], None],
    default_output: Path | None = None,
) -> None:
    """Add a command with the shared options to `app`.

    Args:
        app: the application to add to.
        name: of the command.
        summary: what it does, one or two sentences.
        examples_of: command lines for its help.
        run: receives the options.
        default_output: folder for the report when `--output` is not given; None writes no file.
    """

    def command(
        target: TargetOption = Path("."),
        package: PackageOption = None,
        python: PythonOption = None,
        as_json: JsonOption = False,
        form: FormatOption = None,
        quiet: QuietOption = False,
        output: OutputOption = default_output,
        only: OnlyOption = None,
        subject: SubjectOption = None,
        seed: SeedOption = None,
        workers: WorkersOption = None,
        cache: CacheOption = True,
        notebooks: NotebooksOption = False,
        probe: ProbeOption = False,
    ) -> None:
        options = Options(
            target=target,
            package=package,
            python=python,
            format=format_of(form, as_json=as_json),
            quiet=quiet,
            output=output,
            output_is_default=output is not None and output == default_output,
            only=tuple(only or ()),
            subjects=tuple(subject or ()),
            seed=seed,
            workers=workers,
            cache=cache,
            notebooks=notebooks,
            probe=probe,
        )
        with leaving():
            run(options)

    app.command(name=name, help=summary + examples(*examples_of))(command)
