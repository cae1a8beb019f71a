"""What happens during a call beside its result: exceptions that the target itself handles, errors that it logs,
parameters that it makes.
"""

import logging
import os
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .plain import encodable

Seen = list[dict[str, object]]
_MOST = 20  # events that are told of one call
_MOST_TOLD = 300  # characters of a message
# Parts of the language and not mistakes: the end of an iteration, a generator that is closed.
_CONTROL = (StopIteration, StopAsyncIteration, GeneratorExit)


def home_of(declared: str) -> str | None:
    """Return the folder of the package, or the file, of `module:qualname`; None of what has none."""
    name = declared.partition(":")[0]
    top = sys.modules.get(name.partition(".")[0]) or sys.modules.get(name)
    file = getattr(top, "__file__", None) or getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str):
        return None
    return os.path.dirname(file) + os.sep if os.path.basename(file) == "__init__.py" else file


@contextmanager
def watched(home: str | None) -> Iterator[Seen]:
    """Yield the list that is filled when the call has ended; nothing is watched where there is no `home`.

    Each event has a `kind` (`handled`, `logged`, `parameter`), `what`, the `file` and `line` of the target where it
    happened, and for `handled` the `type` of the exception, its bases and the line of the `handler`.
    """
    seen: Seen = []
    if home is None:
        yield seen
        return
    exceptions = _Exceptions(home)
    handler = _Handler(seen)
    root = logging.getLogger()
    register, before = torch.nn.Module.register_parameter, sys.gettrace()

    def registered(module: torch.nn.Module, name: str, param: torch.nn.Parameter | None) -> None:
        if param is not None and not torch.nn.parameter.is_lazy(param) and param.numel():
            place = _place(home, sys._getframe(1))
            if place is not None:
                what = f"{type(module).__name__}.{name} of shape {tuple(param.shape)}"
                seen.append({"kind": "parameter", "what": encodable(what), **place})
        register(module, name, param)

    torch.nn.Module.register_parameter = registered  # type: ignore[assignment, method-assign]
    root.addHandler(handler)
    sys.settrace(exceptions.called)
    try:
        with warnings.catch_warnings():
            yield seen
    finally:
        sys.settrace(before)
        root.removeHandler(handler)
        torch.nn.Module.register_parameter = register  # type: ignore[method-assign]
        seen += exceptions.handled()
        del seen[_MOST:]


class _Exceptions:
    """Follows exceptions through frames of the target: the last frame that sees one is the one that handles it."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._raised: dict[int, tuple[BaseException, dict[str, object], int]] = {}

    def called(self, frame: types.FrameType, event: str, arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(self._home):
            return None
        frame.f_trace_lines = False
        return self._inside

    def _inside(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        if event == "exception":
            error = arg[1]
            if isinstance(error, BaseException) and not isinstance(error, _CONTROL):
                line = frame.f_lineno
                first = {"file": encodable(frame.f_code.co_filename), "line": line}
                _, place, _ = self._raised.get(id(error), (error, first, line))
                self._raised[id(error)] = (error, place, line)
        return self._inside

    def handled(self) -> Seen:
        """Return the exceptions seen; where the call returned, something handled each of them."""
        many = list(self._raised.values())
        replaced = {id(error.__cause__ or error.__context__) for error, _, _ in many}
        return [
            {
                "kind": "handled",
                "type": encodable(type(error).__name__),
                "bases": [base.__name__ for base in type(error).__mro__ if base is not object],
                "what": _told(error),
                **place,
                "handler": line,
            }
            for error, place, line in many
            if id(error) not in replaced
        ]


class _Handler(logging.Handler):
    def __init__(self, seen: Seen) -> None:
        super().__init__(logging.ERROR)
        self._seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        self._seen.append(
            {
                "kind": "logged",
                "what": _told(record.getMessage()),
                "file": encodable(record.pathname),
                "line": record.lineno,
            }
        )


def _told(value: object) -> str:
    try:
        return encodable(" ".join(str(value).split()))[:_MOST_TOLD]
    except Exception:  # its own `__str__` is the target's code
        return "(its message could not be read)"


def _place(home: str, frame: types.FrameType | None) -> dict[str, object] | None:
    """Return the innermost line of the target among these frames."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(home):
            return {"file": encodable(frame.f_code.co_filename), "line": frame.f_lineno}
        frame = frame.f_back
    return None
