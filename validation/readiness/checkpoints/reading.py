"""Which format a file of weights has, by its content, and what it says that it holds."""

import io
import stat
from pathlib import Path
from typing import BinaryIO

from validation.readiness.checkpoints.forms import Layout, Malformed, NotRead
from validation.readiness.checkpoints.gguf_files import MAGIC, gguf_layout
from validation.readiness.checkpoints.onnx_files import onnx_layout
from validation.readiness.checkpoints.pickles import read_pickle
from validation.readiness.checkpoints.safetensors_files import looks_like_safetensors, safetensors_layout
from validation.readiness.checkpoints.torch_files import LEGACY_MAGIC, legacy_layout, pickle_layout, zip_layout

_HEAD_BYTES = 4096
_SAFETENSORS = ".safetensors"
_TORCH = (".pt", ".pth")
_GGUF = ".gguf"
_ONNX = ".onnx"
_HDF5 = b"\x89HDF\r\n\x1a\n"


def opened(path: Path) -> tuple[BinaryIO, int]:
    """Open a regular file; return it with its size.

    Raises:
        NotRead: it cannot be opened, or is a pipe or a device, which has no end.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotRead("it is no regular file")
        return path.open("rb"), path.stat().st_size
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        raise NotRead(f"it cannot be read: {getattr(problem, 'strerror', None) or problem}") from problem


def layout_of(path: Path) -> Layout:
    """Return what a file of weights holds.

    Raises:
        Malformed: it contradicts its format, or was cut off.
        NotRead: its format is not known here, or it is larger than a limit.
    """
    file, size = opened(path)
    with file:
        try:
            return _layout(file, size, path.suffix.lower())
        except OSError as problem:
            raise NotRead(f"it cannot be read: {problem.strerror}") from problem


def _layout(file: BinaryIO, size: int, suffix: str) -> Layout:
    if suffix == _ONNX:  # nothing marks the beginning of protobuf
        return onnx_layout(file, size)
    head = file.read(_HEAD_BYTES)
    if suffix == _GGUF or head.startswith(MAGIC):
        return gguf_layout(file, size)
    if suffix == _SAFETENSORS or looks_like_safetensors(head, size):
        return safetensors_layout(file, size)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return zip_layout(file, size)
    if head.startswith(_HDF5) or head[257:262] == b"ustar":
        raise NotRead("HDF5 and tar are not read as weights")
    if head[:1] == b"\x80" or _is_old_pickle(head):
        return legacy_layout(file, size) if _is_legacy(head) else pickle_layout(file)
    if suffix in _TORCH:
        raise Malformed("it begins as nothing that torch.load takes, neither a zip archive nor a pickle")
    raise NotRead("its first bytes are those of no format that is read: zip, pickle, safetensors, GGUF")


def _is_legacy(head: bytes) -> bool:
    try:
        return read_pickle(io.BytesIO(head)).value == LEGACY_MAGIC
    except (Malformed, NotRead):
        return False


def _is_old_pickle(head: bytes) -> bool:
    """Return whether the file begins as a pickle of protocol 0 or 1: those have no mark of their own."""
    return head[:1] in (b"c", b"(", b"}", b"]") and b"\n" in head and b"\0" not in head[:16]
