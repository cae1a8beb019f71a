"""Adds `astrobio-audit train`."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
