"""What a figure depends on beside the target's code, as its claim declares it."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from audit.kept import state_of


def digest_of_reads(root: Path, patterns: Sequence[str]) -> str:
    """Return a digest of the patterns and of the names and contents of the files that they match, links followed."""
    total = hashlib.sha256()
    for pattern in patterns:
        total.update(os.fsencode(pattern) + b"\0")
        for path in sorted(_matching(root, pattern)):
            total.update(os.fsencode(path) + b"\0" + state_of(str(path)).encode() + b"\0")
    return total.hexdigest()


def _matching(root: Path, pattern: str) -> Iterator[Path]:
    """Yield the files that a pattern names; of a folder all that lie below it."""
    given = Path(pattern)
    start, relative = (
        (Path(given.anchor), str(given.relative_to(given.anchor))) if given.is_absolute() else (root, pattern)
    )
    for found in start.glob(relative):
        if not found.is_dir():
            yield found
        for folder, _, names in os.walk(found, followlinks=True):
            yield from (Path(folder, name) for name in names)
