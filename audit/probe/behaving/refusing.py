"""What torch says when it refuses to capture a model, made short: the reason in one line, and where it points to."""

import re
import traceback

from ..plain import encodable, readable

_MOST_TOLD = 400  # letters of a reason
_MOST_READ = 100_000  # letters of a message in which places are looked for
_PLACE = re.compile(r'\bFile "([^"\n]+)", line (\d{1,8})\b')


def refusal(error: BaseException) -> tuple[str, list[list[object]]]:
    """Return why torch refuses, in one line, and the files and lines that led there and that the message names."""
    message = readable(lambda: str(error))
    # An export runs the model's own code, so that frames of it may be on the way; a compilation reads it.
    raised = traceback.extract_tb(error.__traceback__)
    places: list[list[object]] = [[encodable(each.filename), each.lineno] for each in raised if each.lineno]
    places += [[path, int(line)] for path, line in _PLACE.findall(message[:_MOST_READ])]
    return f"{encodable(type(error).__name__)}: {in_short(message)}", places


def in_short(message: str) -> str:
    """Return the first paragraph of a message as one line; behind it come hints, stacks and addresses of documents."""
    first = message.strip().partition("\n\n")[0]
    line = "; ".join(" ".join(each.split()) for each in first.splitlines())
    return line if len(line) <= _MOST_TOLD else line[:_MOST_TOLD].rpartition(" ")[0] + " ..."
