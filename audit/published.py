"""Where a claim is published, whose words must be there, and with which figure."""

import re
import stat
from collections.abc import Sequence

from audit.claims import AnyClaim, Published
from audit.results import Location
from audit.target import Target

_MAX_BYTES = 2**24


class Unpublished(Exception):
    """The words are not where they are said to be; the message says what is wrong."""


def place_of(published: Published, target: Target) -> Location:
    """Return where the words begin, or begin first where no line is named.

    Raises:
        Unpublished: they are not there.
    """
    path = target.root / published.file
    relative = target.relative(path)
    if relative is None:
        raise Unpublished(f"published.file {published.file!r} lies outside the target")
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES:
            raise Unpublished(f"{relative} is not a file of at most {_MAX_BYTES} bytes")
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Unpublished(f"{relative} is not UTF-8 at byte {error.start}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise Unpublished(f"{relative} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    pattern = re.compile(r"\s+".join(re.escape(word) for word in published.text.split()))
    lines = [content.count("\n", 0, match.start()) + 1 for match in pattern.finditer(content)]
    if not lines:
        raise Unpublished(f"the claim is not published: {relative} does not contain {published.text!r}")
    if published.line is not None and published.line not in lines:
        raise Unpublished(f"the claim is published on line {lines[0]} of {relative}, not on line {published.line}")
    return Location(path=relative, line=published.line or lines[0])


def declared_figures(claims: Sequence[AnyClaim], target: Target) -> list[tuple[str, int, str]]:
    """Return file, line and words of each claim; one whose words are nowhere, which its own check tells, has none."""
    return [(place.path, place.line or 0, claim.published.text) for claim in claims if (place := _place(claim, target))]


def _place(claim: AnyClaim, target: Target) -> Location | None:
    try:
        return place_of(claim.published, target)
    except Unpublished:
        return None
