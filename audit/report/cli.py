"""`astrobio-audit report`: the schema, and publishing a finished report."""

import json
from pathlib import Path
from typing import Annotated

import typer

from audit.errors import UsageError
from audit.options import Format, FormatOption, JsonOption, QuietOption, examples, format_of, leaving
from audit.report.comparing.cli import register as register_comparing
from audit.report.text import one_line

report_app = typer.Typer(
    help="Work with finished reports."
    + examples("astrobio-audit report publish --from reports/latest --to reports", "astrobio-audit report schema"),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@report_app.command(
    help="Print the JSON Schema of reports: what static, attention, smoke, readiness and doctor write as JSON."
    + examples("astrobio-audit report schema > audit/report/schema.json")
)
def schema(as_json: JsonOption = True, quiet: QuietOption = False) -> None:
    """Print the schema, which is JSON either way."""
    from audit.report.schema import schema_json
    from audit.report.streams import print_json

    with leaving():
        text = schema_json()
        if not quiet:
            print_json(text)


@report_app.command(
    help="Show a finished report again, in any format: CI makes one run and every view of it."
    + examples(
        "astrobio-audit report render static.json --format sarif > static.sarif",
        "astrobio-audit report render --format summary",
        "astrobio-audit report render readiness.json --format html --output readiness.html",
    )
)
def render(
    source: Annotated[Path, typer.Argument(metavar="[FILE]", help="A report as JSON.")] = Path(
        "reports/latest/readiness.json"
    ),
    as_json: JsonOption = False,
    form: FormatOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it to this file, not to standard output."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Render a report and leave with the exit code that its run had."""
    from audit.command import deliver
    from audit.report.publish import read_report
    from audit.report.rendering import write_rendered

    with leaving():
        chosen = format_of(form, as_json=as_json)
        if output is not None and chosen is Format.TEXT:
            raise UsageError("--output: text is for a terminal; name another --format")
        report = read_report(source)
        if output is None:
            deliver(report, form=chosen, quiet=quiet, output=None)
        else:
            write_rendered(report, chosen, output)
            raise typer.Exit(report.exit_code)


@report_app.command(
    help="Copy a finished readiness report to where it is published. Refuses a partial one, and one made from "
    "uncommitted changes." + examples("astrobio-audit report publish --from reports/latest --to reports")
)
def publish(
    source: Annotated[Path, typer.Option("--from", metavar="DIR", help="Folder with readiness.json.")] = Path(
        "reports/latest"
    ),
    destination: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to publish in.")] = Path("reports"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Publish a report."""
    from audit.report.publish import publish_report
    from audit.report.streams import print_json

    with leaving():
        written = publish_report(source, destination)
        if as_json:
            print_json(json.dumps({"written": [str(path) for path in written]}) + "\n")
        elif not quiet:
            for path in written:
                typer.echo(f"written: {one_line(str(path), limit=None)}")


register_comparing(report_app)
