"""Writing files so that a reader never sees half of one, and an old one outlives a failed write."""

import os
import stat
import tempfile
from itertools import takewhile
from pathlib import Path

from audit.errors import UsageError

_LONGEST = 200  # of a name of at most 255 bytes, that a random end fits behind it


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
        for part in (folder, *folder.parents):
            if os.path.islink(part) and not os.path.exists(part):
                raise UsageError(
                    f"{option} {folder}: {part} is a link to {os.readlink(part)}, where nothing is; "
                    "remove the link, or name another folder"
                ) from error
        raise UsageError(f"{option} {folder}: cannot be created: {error.strerror}; name another folder") from error
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{option} {folder}: not writable; name another folder")


def prepare_own_folder(folder: Path, *, root: Path = Path("."), option: str = "--output") -> None:
    """Create a folder below `root` whose place no user named, and which another may have laid out, as a checkout can.

    Raises:
        UsageError: it cannot be created or written to, or a part of its path below `root` is a link: reports would be
            written to where that points.
    """
    for part in takewhile(lambda each: each != root, [folder, *folder.parents]):
        if part.is_symlink():
            raise UsageError(
                f"{part}: is a link to another place; {option} does not go there; remove it, or name a folder"
            )
    prepare_folder(folder, option=option)


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


def replace_content(path: Path, content: bytes, *, expected: bytes) -> None:
    """Write `content` in the place of a file that still holds `expected`, as `write_atomically` does; its mode stays.

    Raises:
        WriteError: the file may not be written, changed since it was read, or the disk does not take it.
    """
    try:
        mode = path.stat().st_mode
        if not mode & 0o222 or not os.access(path, os.W_OK):
            raise WriteError(f"{path}: is read-only; it is unchanged")
    except OSError as error:
        raise _unwritten(path, error) from error
    _replace(path, content, mode=stat.S_IMODE(mode), expected=expected)


def _replace(path: Path, content: bytes, *, mode: int, expected: bytes | None = None) -> None:
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:_LONGEST]}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        if expected is not None and path.read_bytes() != expected:
            raise WriteError(f"{path}: changed since it was read; it is left as it is, run the command again")
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise _unwritten(path, error) from error
    finally:
        if temporary is not None:  # whatever ended this, Ctrl-C too
            temporary.unlink(missing_ok=True)


def _unwritten(path: Path, error: OSError) -> WriteError:
    return WriteError(f"{path}: could not be written: {error.strerror or error}; what stood there is unchanged")
