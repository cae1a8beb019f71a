"""`astrobio-audit report`: the schema, and publishing a finished report."""

from pathlib import Path
from typing import Annotated

import typer

from audit.options import examples, leaving
from audit.report.text import one_line

report_app = typer.Typer(help="Work with finished reports.", no_args_is_help=True, rich_markup_mode=None)


@report_app.command(
    help="Print the JSON Schema of every command's --json."
    + examples("astrobio-audit report schema > audit/report/schema.json")
)
def schema() -> None:
    """Print the schema."""
    from audit.report.schema import schema_json
    from audit.report.streams import print_json

    with leaving():
        print_json(schema_json())


@report_app.command(
    help="Copy a finished readiness report to where it is published. Refuses a partial one, and one made from "
    "uncommitted changes." + examples("astrobio-audit report publish --from reports/latest --to reports")
)
def publish(
    source: Annotated[Path, typer.Option("--from", metavar="DIR", help="Folder with readiness.json.")] = Path(
        "reports/latest"
    ),
    destination: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to publish in.")] = Path("reports"),
) -> None:
    """Publish a report."""
    from audit.report.publish import publish_report

    with leaving():
        for path in publish_report(source, destination):
            typer.echo(f"written: {one_line(str(path), limit=None)}")
