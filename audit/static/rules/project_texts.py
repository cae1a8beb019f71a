"""A text of a project as rules see it: its lines, the comments that silence a rule, whether it is a document."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

MAX_TEXT_BYTES = 1024 * 1024  # of a text; what comes after is not read, and the documentation of the rules says so
MAX_EVIDENCE_FILES = 2000
_DOCUMENTS = frozenset({".md", ".markdown", ".rst"})
_NOQA = re.compile(r"(?:<!--|#|//|;|\.\.)\s*noqa:\s*(?P<ids>[A-Z]{3}\d{3}(?:[\s,]+[A-Z]{3}\d{3})*)", re.IGNORECASE)


@dataclass(frozen=True)
class Text:
    """The beginning of a text file, its lines ended by line feeds. `digest` is None where the file goes on."""

    path: str
    content: str
    digest: str | None

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines without their ends."""
        return tuple(self.content.split("\n"))

    def silences(self, rule: str, line: int) -> bool:
        """Return whether a comment on the line, or on the one before it, names the rule."""
        around = self.lines[max(line - 2, 0) : line]
        return any(
            rule in re.split(r"[\s,]+", found["ids"].upper()) for text in around for found in _NOQA.finditer(text)
        )


def is_document(path: str) -> bool:
    """Return whether a path is that of a document, by its name."""
    if path.endswith(".py"):  # most paths are
        return False
    name = PurePosixPath(path)
    return name.suffix.lower() in _DOCUMENTS or (name.stem.upper() == "README" and name.suffix.lower() in ("", ".txt"))
