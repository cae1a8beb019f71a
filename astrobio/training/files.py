"""Files that are there whole or not at all, also after a crash of the machine: written aside, synced, renamed."""

import json
import os
import shutil
from pathlib import Path

from astrobio.training.errors import WriteError


def write_file(path: Path, content: bytes) -> None:
    """Put `content` at `path`, in the place of what may be there.

    Raises:
        WriteError: the disk is full or the folder is not writable; what was there is intact.
    """
    aside = path.with_name(f".{path.name}.partial")
    try:
        _write_synced(aside, content)
        aside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise WriteError(f"{path} cannot be written: {error.strerror}; what was there is intact") from error


def write_json(path: Path, value: object) -> None:
    """Put `value` at `path` as JSON with sorted keys; raises as `write_file`."""
    write_file(path, (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def write_folder(path: Path, files: dict[str, bytes]) -> None:
    """Put a folder with these files at `path`, in the place of what may be there.

    Raises:
        WriteError: the disk is full or the folder is not writable; what was there is intact.
    """
    aside = path.with_name(f".{path.name}.partial")
    try:
        remove_folder(aside)
        aside.mkdir(parents=True)
        for name, content in files.items():
            _write_synced(aside / name, content)
        sync_folder(aside)
        remove_folder(path)  # a folder cannot be renamed over another
        aside.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise WriteError(f"{path} cannot be written: {error.strerror}; what was there is intact") from error


def remove_folder(path: Path) -> None:
    """Remove a folder, if it is there; whoever looks meanwhile sees all of it or nothing."""
    if path.exists():
        going = path.with_name(f".{path.name}.removed")
        shutil.rmtree(going, ignore_errors=True)
        path.rename(going)
        shutil.rmtree(going, ignore_errors=True)


def sync_folder(path: Path) -> None:
    """Make the names in a folder last: a rename is safe only once its folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
