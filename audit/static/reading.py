"""From a file's bytes to its syntax tree, or to the reason why there is none."""

import ast
import hashlib
import io
import re
import stat
import sys
import threading
import tokenize
import warnings
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from audit.static import notebooks
from audit.static.sources import SourceFile
from audit.static.syntax_versions import version_in_words

# The largest Python file of torch 2.13 has 1,376,254 bytes. A file of nothing but `a=1`, the worst there is, takes
# 670 MB of memory and 14 s for each MiB (Python 3.11).
MAX_BYTES = 2 * 1024 * 1024

# These warn about the text they decode from within the codec, and no tool that writes Python files uses them.
UNSUPPORTED_ENCODINGS = frozenset({"unicode_escape", "raw_unicode_escape"})

_FILE_NAME = "<source under audit>"
_SILENCE = ("ignore", None, Warning, re.compile(re.escape(_FILE_NAME)), 0)
_silence_lock = threading.Lock()


def tree_of(path: Path) -> ast.Module | None:
    """Return the syntax tree of a file; None where it cannot be read, or is not the Python of this interpreter."""
    try:
        with _silenced():
            return ast.parse(path.read_bytes(), filename=_FILE_NAME)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file of the target that gave no syntax tree. Line and column start at 1; `digest` is None without content.

    `passing` is what hindered reading it and does not follow from its content: it may be gone by the next run.
    """

    path: str
    reason: str
    line: int | None = None
    column: int | None = None
    digest: str | None = None
    passing: bool = False


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """A file's digest, its decoded text and its syntax tree."""

    digest: str
    text: str
    tree: ast.Module


class _UnreadableError(Exception):
    """Why the content gives no syntax tree, and where."""

    def __init__(
        self, reason: str, *, line: int | None = None, column: int | None = None, passing: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing
        self.line = line
        self.column = column


def sha256(content: bytes) -> str:
    """Return the digest of `content` as this package writes it: `sha256:` and 64 digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read(file: SourceFile) -> ParsedFile | UnreadableFile:
    """Return the syntax tree of `file`, or why it has none. Raises nothing for whatever the file holds."""
    digest = None
    content = b""
    try:
        content = _content(file)
        digest = sha256(content)
        text = _code_of_notebook(content) if _is_notebook(file) else _decoded(content)
        return ParsedFile(digest=digest, text=text, tree=_parsed(text))
    except _UnreadableError as error:
        place = _place_in_notebook(content, error.line) if _is_notebook(file) and error.line else None
        reason = f"{error.reason} ({place})" if place else error.reason
        return UnreadableFile(file.relative, reason, error.line, error.column, digest, error.passing)


def parse_text(text: str, *, path: str) -> ParsedFile | UnreadableFile:
    """Return the syntax tree of a text that would be that of the file at `path`, or why it has none."""
    digest = sha256(text.encode(errors="surrogatepass"))
    try:
        return ParsedFile(digest=digest, text=text, tree=_parsed(text))
    except _UnreadableError as error:
        return UnreadableFile(path=path, reason=error.reason, line=error.line, column=error.column, digest=digest)


def digest_of(file: SourceFile) -> str | None:
    """Return the digest of the content that `read` would see; None where it would see none."""
    try:
        return sha256(_content(file))
    except _UnreadableError:
        return None


def _content(file: SourceFile) -> bytes:
    try:
        status = file.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _UnreadableError("not a regular file")
        limit = notebooks.MAX_BYTES if _is_notebook(file) else MAX_BYTES
        if status.st_size > limit:
            raise _UnreadableError(f"{status.st_size} bytes, more than the limit of {limit}")
        return file.path.read_bytes()
    except OSError as error:
        raise _UnreadableError(f"cannot be read: {error.strerror or error}") from error


def _is_notebook(file: SourceFile) -> bool:
    return file.relative.endswith(notebooks.SUFFIX)


def _code_of_notebook(content: bytes) -> str:
    try:
        code = notebooks.code_of(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _error_at(f"not {error.encoding}: {error.reason}", content, error.start) from error
    except notebooks.NotebookError as error:
        raise _UnreadableError(error.reason, line=error.line) from error
    if len(code) > MAX_BYTES:
        raise _UnreadableError(f"{len(code)} characters of code, more than the limit of {MAX_BYTES}")
    return code


def _place_in_notebook(content: bytes, line: int) -> str | None:
    with suppress(UnicodeDecodeError, notebooks.NotebookError):
        return notebooks.place_in(content.decode("utf-8-sig"), line)
    return None


def _decoded(content: bytes) -> str:
    """Return the text, decoded by its byte order mark or coding comment (PEP 263), else as UTF-8."""
    null = content.find(b"\0")
    if null >= 0:
        raise _error_at("contains a null byte", content, null)
    try:
        encoding = _encoding(content)
        if encoding.lower().replace("-", "_") in UNSUPPORTED_ENCODINGS:
            raise _UnreadableError(f"the encoding {encoding} is not supported", line=1)
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise _error_at(f"not {error.encoding}: {error.reason}", content, error.start) from error
    except (LookupError, UnicodeError) as error:
        raise _UnreadableError(f"cannot be decoded: {error}") from error


def _encoding(content: bytes) -> str:
    """Return the encoding that the first lines declare, else UTF-8."""
    try:
        return tokenize.detect_encoding(io.BytesIO(content).readline)[0]
    except SyntaxError as error:
        if "unknown encoding" in str(error):
            raise _UnreadableError(f"cannot be decoded: {error}") from error
        content.decode("utf-8")  # the first lines are not UTF-8; this says where
        raise _UnreadableError(f"cannot be decoded: {error}") from error


def _error_at(reason: str, content: bytes, offset: int) -> _UnreadableError:
    """Return the error at a byte; the column counts bytes, since the characters are what is in doubt."""
    before = content[:offset]
    return _UnreadableError(reason, line=before.count(b"\n") + 1, column=offset - before.rfind(b"\n"))


def _parsed(text: str) -> ast.Module:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        with _silenced():
            return ast.parse(text, filename=_FILE_NAME)
    except SyntaxError as error:
        reason = f"syntax error (Python {version}): {version_in_words(text, error) or error.msg}"
        raise _UnreadableError(reason, line=error.lineno or None, column=error.offset or None) from error
    except (RecursionError, MemoryError) as error:
        reason = f"nested too deeply for the parser ({type(error).__name__})"
        raise _UnreadableError(reason, passing=True) from error
    except ValueError as error:  # a lone surrogate, which some encodings can produce
        raise _UnreadableError(f"cannot be parsed: {error}") from error


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep the parser from warning about the target's string literals while the block runs.

    `warnings.catch_warnings` swaps the whole list of filters and so undoes what other threads do to it. Here one
    entry that matches nothing but `_FILE_NAME` is put in front and taken out of the same list again.
    """
    filters = cast("MutableSequence[object]", warnings.filters)
    with _silence_lock:
        filters.insert(0, _SILENCE)
        try:
            yield
        finally:
            with suppress(ValueError):  # another thread may have emptied the list
                filters.remove(_SILENCE)
