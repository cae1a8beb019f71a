"""A file's bytes and its text: read, and encoded back exactly."""

import io
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from audit.report.files import WriteError


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a file, and the encoding that its byte order mark or coding comment names."""

    data: bytes
    encoding: str

    def encoded(self, text: str) -> bytes | None:
        """Return a changed text as bytes; None where the encoding has not all of its characters."""
        try:
            return text.encode(self.encoding)
        except UnicodeEncodeError:
            return None


def content_of(path: Path, text: str) -> Content | None:
    """Return the bytes of a file that reads as `text`; None where encoding that text does not give them again.

    Such a file cannot be edited: bytes outside of the edit would change.

    Raises:
        OSError: the file cannot be read any more.
    """
    data = path.read_bytes()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    content = Content(data, encoding)
    return content if content.encoded(text) == data else None


def real_file(path: Path, trees: Iterable[Path]) -> Path:
    """Return the file behind a path, which is what gets written.

    Raises:
        WriteError: it lies outside all of `trees`.
    """
    real = path.resolve()
    if not any(real.is_relative_to(tree.resolve()) for tree in trees):
        raise WriteError(f"{path}: is a link to {real}, outside of what is to be fixed; fix that file by its own path")
    return real
