"""What identifies a finding from one commit to the next: its check, path, surrounding name and line, never a number."""

import hashlib
import io
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path

from audit.report.text import plain
from audit.results import Location, Outcome, Result
from audit.static.reading import MAX_BYTES

AREAS = ("rules", "static")
_LINE_END = re.compile(r"\r\n|\r|\n")


def with_fingerprints(results: Iterable[Result], root: Path) -> list[Result]:
    """Return the results with a fingerprint for each failed static check that has a place below `root`."""
    lines: dict[str, list[str]] = {}
    marked = []
    for result in results:
        place = result.location
        if place is None or result.outcome is not Outcome.FAILED or result.check.partition(".")[0] not in AREAS:
            marked.append(result)
            continue
        if place.path not in lines:
            lines[place.path] = source_lines(root / place.path)
        marked.append(result.model_copy(update={"fingerprint": fingerprint(result.check, place, lines[place.path])}))
    return marked


def fingerprint(check: str, place: Location, lines: list[str], *, path: str | None = None) -> str:
    """Return the fingerprint of a finding at `place` of a file with these lines, as if the file were called `path`.

    The line itself is in it as a digest only: it may hold a secret.
    """
    line = lines[place.line - 1] if place.line and place.line <= len(lines) else ""
    parts = (check, path or place.path, place.qualname or "", "".join(line.split()))
    return hashlib.sha256("\0".join(map(plain, parts)).encode()).hexdigest()[:32]


def source_lines(path: Path) -> list[str]:
    """Return the lines of a file, numbered as the parser numbers them; bytes that its encoding lacks are escaped.

    A file that cannot be read has none.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return []
        content = path.read_bytes()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return []
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(content).readline)[0]
        text = content.decode(encoding, "backslashreplace")
    except (SyntaxError, LookupError, UnicodeError):
        text = content.decode("utf-8", "backslashreplace")
    return _LINE_END.split(text) if "\r" in text else text.split("\n")
