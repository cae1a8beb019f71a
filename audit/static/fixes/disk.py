"""A file's bytes and its text: read, encoded back exactly, and written so that nobody sees half of it."""

import io
import os
import stat
import tempfile
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


def write_over(path: Path, data: bytes, *, expected: bytes) -> None:
    """Put `data` in the place of a file that still holds `expected`; its mode stays.

    The new content is written beside it, flushed to the disk and renamed into place.

    Raises:
        WriteError: the file may not be written, changed since it was read, or the disk does not take it; what stood
            there is unchanged.
    """
    temporary: Path | None = None
    try:
        status = path.stat()
        if not status.st_mode & 0o222 or not os.access(path, os.W_OK):
            raise WriteError(f"{path}: is read-only; it is unchanged")
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:200]}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, stat.S_IMODE(status.st_mode))
        if path.read_bytes() != expected:
            raise WriteError(f"{path}: changed while it was being fixed; it is left as it is, run the command again")
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise WriteError(f"{path}: could not be written: {error.strerror or error}; it is unchanged") from error
    finally:
        if temporary is not None:  # whatever ended this, Ctrl-C too
            temporary.unlink(missing_ok=True)
