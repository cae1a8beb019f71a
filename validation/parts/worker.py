"""What takes over on the other side of a gateway of `run`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from audit.parts.worker import serve_part
from validation.parts.commands import COMMANDS

if TYPE_CHECKING:
    import execnet


def serve(channel: "execnet.Channel", given: Mapping[str, object]) -> None:
    """Carry out groups of a plan until the connection is closed."""
    serve_part(channel, given, COMMANDS)
