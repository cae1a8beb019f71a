"""What went wrong while something was guessed, said in one line with the target's own file and line."""

import os
import traceback

_MAX_MESSAGE = 300


class NotGuessed(Exception):
    """A subject could not be loaded, built or called; the message is one line that says what failed and why."""


def told(error: BaseException, *, within: str) -> str:
    """Return an exception in one line: type, message, and the innermost line of the file `within`, or the innermost.

    Args:
        error: what was raised.
        within: path of the target's file.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.lineno is not None]
    places = [(frame.filename, frame.lineno) for frame in frames if not frame.filename.startswith("<")]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        places.append((error.filename, error.lineno))
    outside = [place for place in places if os.path.realpath(place[0]) == os.path.realpath(within)]
    chosen = (outside or places)[-1:]
    where = "".join(f" ({os.path.basename(name)}:{line})" for name, line in chosen)
    try:
        message = " ".join(str(error).split())[:_MAX_MESSAGE]
    except BaseException as inner:  # its own `__str__` is the target's code
        message = f"its message could not be read: {type(inner).__name__}"
    return f"{type(error).__name__}: {message}{where}" if message else f"{type(error).__name__}{where}"
