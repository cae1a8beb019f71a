"""Adds `report diff` and `report merge`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audit.options import Format, FormatOption, JsonOption, QuietOption, examples, format_of, leaving


class DiffFormat(StrEnum):
    """How a comparison is written."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


_ONE = typer.Argument(metavar="OLD.json", help="The earlier report.")
_OTHER = typer.Argument(metavar="NEW.json", help="The later report.")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`, the one of `report`."""
    app.command(
        name="diff",
        help="Say what changed between two reports: new failures, fixed, still failing, no longer judged, newly "
        "judged, and whether the release got better. Leaves with 1 where it got worse."
        + examples(
            "astrobio-audit report diff reports/readiness.json reports/latest/readiness.json",
            "astrobio-audit report diff old.json new.json --format markdown >> $GITHUB_STEP_SUMMARY",
        ),
    )(_diff)
    app.command(
        name="merge",
        help="Put the reports on the parts of a plan together, with the verdict when all parts are there. Refuses "
        "parts of another commit or plan, and what two parts hold; what no part holds is an error."
        + examples(
            "astrobio-audit report merge reports/latest/parts/*.json --plan reports/latest/plan.json "
            "--output reports/latest",
        ),
    )(_merge)


def _diff(
    old: Annotated[Path, _ONE],
    new: Annotated[Path, _OTHER],
    form: Annotated[DiffFormat, typer.Option("--format", help="How the comparison is written.")] = DiffFormat.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="Short for `--format json`.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Compare two reports and leave with 1 where the later one is worse."""
    from audit.errors import UsageError
    from audit.report.comparing.difference import difference
    from audit.report.comparing.rendering import diff_json, diff_markdown, diff_text
    from audit.report.publish import read_report
    from audit.report.streams import print_json, print_text

    with leaving():
        if as_json and form is DiffFormat.MARKDOWN:
            raise UsageError("--json and --format markdown ask for different formats; give one of them")
        found = difference(read_report(old), read_report(new))
        if as_json or form is DiffFormat.JSON:
            print_json(diff_json(found))
        elif form is DiffFormat.MARKDOWN:
            print_text(diff_markdown(found))
        elif not quiet:
            typer.echo(diff_text(found), nl=False)
    raise typer.Exit(found.exit_code)


def _merge(
    parts: Annotated[list[Path], typer.Argument(metavar="PART.json...", help="What `run` has written.")],
    plan: Annotated[Path, typer.Option("--plan", metavar="PLAN.json", help="The plan that they are parts of.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write the report as JSON and Markdown here.")
    ] = None,
    as_json: JsonOption = False,
    form: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Merge parts and leave with the exit code of the whole."""
    from audit.command import deliver
    from audit.parts.document import read_plan
    from audit.parts.merge import merge_files
    from audit.report.files import prepare_folder

    with leaving():
        chosen: Format = format_of(form, as_json=as_json)
        merged = merge_files(read_plan(plan), parts)
        if output:
            prepare_folder(output)
        deliver(merged, form=chosen, quiet=quiet, output=output)
