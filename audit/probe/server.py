"""Answers the parent's calls one after another, and turns whatever the target raises into plain data."""

import traceback
from collections.abc import Callable
from typing import Protocol, cast

from . import paths, phases
from .plain import plain

_MAX_FRAMES = 200
_MAX_TEXT = 20_000


class Channel(Protocol):
    """What the server needs of an execnet channel."""

    def send(self, item: object) -> None:
        """Send plain data to the parent."""

    def receive(self) -> object:
        """Wait for the parent's next item; raises EOFError when there will be none."""


Procedure = Callable[..., dict[str, object]]
Reply = tuple[str, object]


def serve(channel: Channel, settings: dict[str, object]) -> None:
    """Prepare the process, confirm, then answer calls until the parent closes the channel."""
    procedures: dict[str, Procedure] = {}

    def prepare() -> dict[str, object]:
        procedures.update(_prepared(settings))
        return {}

    channel.send(_answer(prepare, {}))
    while True:
        try:
            name, arguments = cast(tuple[str, dict[str, object]], channel.receive())
        except EOFError:
            return
        channel.send(_answer(procedures[name], arguments))


def _prepared(settings: dict[str, object]) -> dict[str, Procedure]:
    # torch comes first, with the interpreter's own path: a file of the target called like a module of the standard
    # library must not break it, and the probe binds torch's functions before the target can replace them.
    import torch

    from . import attention, environment, models, specs

    torch.set_num_threads(cast(int, settings["threads"]))
    hidden = cast(list[str], settings["hidden"])
    paths.enter(source=str(settings["source"]), root=str(settings["root"]), hidden=hidden)
    return {
        "environment": environment.environment,
        "import_module": specs.import_module,
        "describe_specs": specs.describe,
        "model_build": models.build,
        "model_forward": models.forward,
        "model_repeat": models.repeat,
        "model_backward": models.backward,
        "model_step": models.step,
        "model_save_load": models.save_load,
        "model_reached": models.reached,
        "attention_run": attention.run,
    }


def _answer(procedure: Procedure, arguments: dict[str, object]) -> Reply:
    phases.reset()
    try:
        return "ok", plain(procedure(**arguments), "reply")
    except BaseException as error:  # SystemExit at import is the target's doing, and belongs in its result
        return "raised", _described(error)


def _described(error: BaseException) -> dict[str, object]:
    frames: list[tuple[str, int]] = []
    for frame in traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]:
        if frame.lineno is not None and not frame.filename.startswith("<"):
            frames.append((frame.filename, frame.lineno))
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        frames.append((error.filename, error.lineno))
    return {
        "phase": phases.current(),
        "type": type(error).__name__,
        "message": _text(error)[:_MAX_TEXT],
        "frames": frames,
        "traceback": "".join(traceback.format_exception(error, limit=-30))[-_MAX_TEXT:],
    }


def _text(error: BaseException) -> str:
    """Return the exception's message; its own `__str__` is the target's code and may raise in turn."""
    try:
        return str(error)
    except BaseException as inner:
        return f"(its message could not be read: {type(inner).__name__})"
