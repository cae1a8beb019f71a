"""Files that are written only where nothing stands yet."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from audit.report.files import WriteError


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A file to write below a folder, and why it is left out; None where it can be written."""

    name: str
    text: str
    left: str | None = None


def why_left(root: Path, name: str) -> str | None:
    """Return why a file below `root` is not to be written; None where nothing stands in its way."""
    path = root / name
    if os.path.lexists(path):
        return "exists"
    standing = next(folder for folder in path.parents if os.path.lexists(folder))
    if not standing.resolve().is_relative_to(root.resolve()):
        return f"{standing.relative_to(root)} is a link that leads out of the project"
    if not standing.is_dir():
        return f"{standing.relative_to(root)} is no folder"
    return None


def write_new(path: Path, text: str) -> bool:
    """Write a file whole, unless one of that name has come into being; return whether it was written.

    Raises:
        WriteError: the folder or the file cannot be made.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".astrobio-audit-init.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        os.link(temporary, path)  # unlike a renaming, this never takes the place of what stands there
        return True
    except FileExistsError:
        return False
    except OSError as error:
        raise WriteError(f"{path}: could not be written: {error.strerror or error}; nothing stands there") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
