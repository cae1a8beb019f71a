"""Looks at a data file by the rules of the format that its name says; nothing of it is loaded."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from validation.readiness.checkpoints.forms import Malformed, NotRead
from validation.readiness.checkpoints.pickles import read_pickle
from validation.readiness.checkpoints.reading import opened
from validation.readiness.data.arrays import look_at_npy, look_at_npz
from validation.readiness.data.scientific import look_at_fits, look_at_hdf5, look_at_netcdf
from validation.readiness.data.texts import look_at_csv, look_at_json, look_at_jsonl, look_at_tsv

_PARQUET, _ARROW, _FEATHER_1 = b"PAR1", b"ARROW1", b"FEA1"
_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstandard"))
# What these modules offer runs commands or code, or opens what it likes; no data is made of it.
_RUNNING = frozenset({
    "os", "posix", "nt", "subprocess", "sys", "runpy", "importlib", "socket", "pty", "shutil", "webbrowser", "commands",
    "code", "codeop", "ctypes", "multiprocessing.util", "pip", "timeit", "pdb", "asyncio.subprocess",
})  # fmt: skip
_RUNNING_BUILTINS = frozenset({"eval", "exec", "compile", "open", "__import__", "getattr", "setattr", "breakpoint"})
_BUILTINS = ("builtins", "__builtin__")


def look_at(path: Path) -> None:
    """Judge a file.

    Raises:
        Malformed: it is not what its format says.
        NotRead: it was not judged, or not to its end, for the reason given.
    """
    look = _LOOKS.get(path.suffix.lower())
    if look is None:
        raise NotRead("the format is not read")
    file, size = opened(path)
    with file:
        try:
            head = file.read(8)
            for magic, name in _PACKED:
                if head.startswith(magic):
                    raise NotRead(f"it is packed with {name}")
            file.seek(0)
            look(file, size)
        except OSError as problem:
            raise NotRead(f"it cannot be read: {problem.strerror}") from problem


def _look_at_parquet(file: BinaryIO, size: int) -> None:
    _look_at_ends(file, size, _PARQUET, _PARQUET, "Parquet")
    file.seek(size - 8)
    footer = int.from_bytes(file.read(4), "little")
    if footer + 12 > size:
        raise Malformed(f"the Parquet footer has {footer} bytes by its own word, more than the file")


def _look_at_arrow(file: BinaryIO, size: int) -> None:
    if file.read(4) == _FEATHER_1:
        _look_at_ends(file, size, _FEATHER_1, _FEATHER_1, "Feather")
        return
    file.seek(0)
    head = file.read(4)
    if head == b"\xff\xff\xff\xff":
        raise NotRead("a stream of Arrow messages, which has no mark at its end")
    _look_at_ends(file, size, _ARROW, _ARROW, "Arrow")


def _look_at_ends(file: BinaryIO, size: int, first: bytes, last: bytes, name: str) -> None:
    file.seek(0)
    if size < len(first) + len(last) or file.read(len(first)) != first:
        raise Malformed(f"it does not begin as a file of {name} does")
    file.seek(size - len(last))
    if file.read(len(last)) != last:
        raise Malformed(f"it does not end as a file of {name} does: it was cut off")


def _look_at_pickle(file: BinaryIO, size: int) -> None:
    names = read_pickle(file).names
    running = [name for name in names if _runs(name)]
    if running:
        raise Malformed(f"unpickling it calls {', '.join(running[:4])}")


def _runs(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    if module in _BUILTINS:
        return attribute in _RUNNING_BUILTINS
    return module in _RUNNING or module.partition(".")[0] in ("os", "subprocess", "ctypes", "runpy", "pip")


Look = Callable[[BinaryIO, int], None]
_LOOKS: Mapping[str, Look] = {
    ".csv": look_at_csv,
    ".tsv": look_at_tsv,
    ".json": look_at_json,
    ".jsonl": look_at_jsonl,
    ".npy": look_at_npy,
    ".npz": look_at_npz,
    ".parquet": _look_at_parquet,
    ".feather": _look_at_arrow,
    ".arrow": _look_at_arrow,
    ".h5": look_at_hdf5,
    ".hdf5": look_at_hdf5,
    ".nc": look_at_netcdf,
    ".fits": look_at_fits,
    ".pkl": _look_at_pickle,
}
