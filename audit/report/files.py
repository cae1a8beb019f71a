"""Writing files so that a reader never sees half of one, and an old one outlives a failed write."""

import os
import stat
import tempfile
from pathlib import Path

from audit.errors import UsageError


class WriteError(Exception):
    """A report could not be written; whatever stood under its name is unchanged."""


def prepare_folder(folder: Path, *, option: str = "--output") -> None:
    """Create `folder`, which `option` names, before any work is done for it.

    Raises:
        UsageError: it cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option} {folder}: cannot be created: {error.strerror}; name another folder") from error
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{option} {folder}: not writable; name another folder")


def keep_from_git(folder: Path) -> None:
    """Let git ignore a folder of passing reports, so that writing one does not make the target's checkout dirty.

    Raises:
        WriteError: the disk is full or the folder went away.
    """
    path = folder / ".gitignore"
    if not path.exists():
        write_atomically(path, "*\n")


def write_atomically(path: Path, text: str) -> None:
    """Write `text` beside `path`, flush it to the disk and rename it into place.

    Raises:
        WriteError: the disk is full or the folder went away.
    """
    _replace(path, text.encode(), mode=0o644)


def replace_content(path: Path, content: bytes) -> None:
    """Write `content` in the place of an existing file, as `write_atomically` does, with the file's permissions.

    Raises:
        WriteError: the disk is full, or the file or its folder went away.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise _unwritten(path, error) from error
    _replace(path, content, mode=mode)


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise _unwritten(path, error) from error
    finally:
        if temporary is not None:  # whatever ended this, Ctrl-C too
            temporary.unlink(missing_ok=True)


def _unwritten(path: Path, error: OSError) -> WriteError:
    return WriteError(f"{path}: could not be written: {error.strerror}; what stood there is unchanged")
