"""Adds `astrobio-audit rules` and `astrobio-audit explain`."""

from typing import Annotated

import typer

from audit.options import JsonOption, examples, leaving


def register(app: typer.Typer) -> None:
    """Add the two commands to `app`."""
    app.command(
        name="rules",
        help="List the rules of the static analysis: id, severity, whether it is on by default, title."
        + examples("astrobio-audit rules", "astrobio-audit rules --json"),
    )(_rules)
    app.command(
        name="explain",
        help="Show the documentation of a rule: what it does, why, an example, what to use instead."
        + examples("astrobio-audit explain ATT003", "astrobio-audit explain API001 --json"),
    )(_explain)


def _rules(as_json: JsonOption = False) -> None:
    from audit.report.streams import print_json
    from audit.static.rules.documentation import list_json, list_text

    with leaving():
        if as_json:
            print_json(list_json())
        else:
            typer.echo(list_text(), nl=False)


def _explain(
    rule: Annotated[str, typer.Argument(metavar="ID", help="Id of a rule, for instance ATT003.")],
    as_json: JsonOption = False,
) -> None:
    from audit.report.streams import print_json
    from audit.static.rules.documentation import find_rule, rule_json, rule_text

    with leaving():
        found = find_rule(rule)
        if as_json:
            print_json(rule_json(found))
        else:
            typer.echo(rule_text(found), nl=False)
