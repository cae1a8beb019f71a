"""Data files of each format, and the same cut off or changed by one edit."""

import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from audit.results import Outcome
from validation.readiness.data import texts

from .written import outcome, results

CHECK = "data.well_formed"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 987654\n"


class Calls:
    """Is pickled as a call of os.system."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def written(save: Callable[[io.BytesIO], Any]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def hdf5(**options: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        file["spectra"] = np.arange(1000.0)
    return buffer.getvalue()


def classic_netcdf(version: int, *, records: int | None = None) -> bytes:
    """Return a file of one variable of doubles over three places, and of records with it where there are some."""
    number = ">q" if version == 5 else ">i"
    place = ">i" if version == 1 else ">q"

    def name(text: bytes) -> bytes:
        return struct.pack(number, len(text)) + text + bytes(-len(text) % 4)

    def entries(tag: int, *written: bytes) -> bytes:
        return struct.pack(">i", tag if written else 0) + struct.pack(number, len(written)) + b"".join(written)

    dimensions = [name(b"time") + struct.pack(number, 0)] if records is not None else []
    dimensions.append(name(b"x") + struct.pack(number, 3))
    units = entries(12, name(b"units") + struct.pack(">i", 2) + name(b"kelvin"))
    over = struct.pack(number, len(dimensions)) + b"".join(struct.pack(number, each) for each in range(len(dimensions)))
    variable = name(b"warmth") + over + units + struct.pack(">i", 6) + struct.pack(number, 24)
    head = b"CDF" + bytes([version]) + struct.pack(number, records or 0) + entries(10, *dimensions) + entries(0)
    length = len(head) + 4 + struct.calcsize(number) + len(variable) + struct.calcsize(place)
    values = struct.pack(">3d", 1.0, 2.0, 3.0) * (1 if records is None else records)
    return head + entries(11, variable + struct.pack(place, length)) + values


NPY = written(lambda buffer: np.save(buffer, np.arange(12.0).reshape(3, 4)))
NPZ = written(lambda buffer: np.savez(buffer, a=np.arange(6), b=np.ones(3)))
PARQUET = b"PAR1" + bytes(40) + (20).to_bytes(4, "little") + b"PAR1"
FITS = b"SIMPLE  =                    T" + b" " * (2880 - 30)
RIGHT = {
    "a.csv": b"name,mass\nsun,1.0\nvega,2.1\n",
    "semicolons.csv": b"name;mass\nsun;1,0\nvega;2,1\n",
    "comments.csv": b"# of the archive\nname,mass\nsun,1.0\n\n",
    "trailing.csv": b"name,mass\nsun,1.0,\nvega,2.1,\n",
    "quoted.csv": b'name,note\nsun,"one,\ntwo"\nvega,x\n',
    "of_r.csv": b"mass,radius\nsun,1,2\nvega,2,3\nrigel,4,5\n",
    "column.csv": b"mass\n1.0\n2.0\n",
    "latin.csv": "name,mass\nVéga,2.1\n".encode("latin-1"),
    "a.tsv": b"name\tmass\nsun\t1.0\n",
    "data/a.json": b'{"mass": [1, 2, NaN]}\n',
    "a.jsonl": b'{"a": 1}\n\n{"a": 2}\n',
    "a.npy": NPY,
    "a.npz": NPZ,
    "packed.npz": written(lambda buffer: np.savez_compressed(buffer, a=np.zeros(10_000))),
    "objects.npy": written(lambda buffer: np.save(buffer, np.array([{}, None]), allow_pickle=True)),
    "a.parquet": PARQUET,
    "a.arrow": b"ARROW1\0\0" + bytes(40) + b"ARROW1",
    "a.h5": hdf5(),
    "new.h5": hdf5(libver="latest"),
    "behind.h5": hdf5(userblock_size=1024),
    "a.nc": hdf5(),
    "old.nc": b"CDF\x01" + bytes(100),
    **{f"classic{version}.nc": classic_netcdf(version) for version in (1, 2, 5)},
    "records.nc": classic_netcdf(1, records=3),
    "streamed.nc": classic_netcdf(1, records=3).replace(struct.pack(">i", 3), b"\xff" * 4, 1)[:-4],
    "a.fits": FITS,
    "a.pkl": pickle.dumps({"a": np.arange(3)}),
}
WRONG = [
    ("a.csv", b"name,mass\nsun,1.0\nvega\n", "a row of 1 fields in a table of 2"),
    ("a.csv", b'name,note\nsun,"one\nvega,x\n', "ends within a quoted field"),
    ("a.csv", b"name,mass\n\0\0\0\0", "null bytes"),
    ("a.tsv", b"name\tmass\nsun 1.0\n", "a row of 1 fields in a table of 2"),
    ("data/a.json", b'{"mass": [1, 2', "no JSON"),
    ("a.jsonl", b'{"a": 1}\n{"a": \n', "no JSON"),
    ("a.npy", NPY[:-1], "the header speaks of 96 bytes"),
    ("a.npy", NPY[:20], "cut off"),
    ("a.npy", NPY.replace(b"(3, 4)", b"(3, 5)"), "the header speaks of 120 bytes"),
    ("a.npy", b"1 2 3", "does not begin as an array"),
    ("a.npz", NPZ[:-30], "no end"),
    ("a.parquet", PARQUET[:-1], "does not end as a file of Parquet"),
    ("a.parquet", PARQUET.replace((20).to_bytes(4, "little"), b"\xff\xff\0\0"), "more than the file"),
    ("a.h5", hdf5()[:-100], "cut off"),
    ("new.h5", hdf5(libver="latest")[:-100], "cut off"),
    ("a.h5", b"not hdf5", "does not begin as an HDF5 file"),
    ("a.nc", b"CDF", "does not begin as an HDF5 file"),
    ("a.nc", b"CDF\x01", "the netCDF header is cut off"),
    ("a.nc", classic_netcdf(1)[:60], "the netCDF header is cut off"),
    ("a.nc", classic_netcdf(1)[:-1], "values end at byte"),
    ("a.nc", classic_netcdf(5)[:-1], "values end at byte"),
    ("a.nc", classic_netcdf(1, records=3)[:-1], "values end at byte"),
    ("a.nc", classic_netcdf(1).replace(struct.pack(">i", 10), struct.pack(">i", 13), 1), "header is damaged"),
    (
        "a.nc",
        classic_netcdf(1).replace(struct.pack(">i", 6) + struct.pack(">i", 24), struct.pack(">ii", 66, 24)),
        "a type 66, which does not",
    ),
    ("a.fits", FITS[:-1], "cut off"),
    ("a.pkl", pickle.dumps({"a": np.arange(3)})[:-5], "no whole pickle"),
    ("a.pkl", pickle.dumps(Calls()), f"unpickling it calls {os.system.__module__}.system"),
]


@pytest.mark.parametrize("name", RIGHT)
def test_a_file_of_its_format_passes(tmp_path: Path, name: str) -> None:
    found = outcome(tmp_path, CHECK, {name: RIGHT[name]})
    assert found == (Outcome.PASSED, "")


@pytest.mark.parametrize(("name", "content", "words"), WRONG)
def test_a_file_that_is_not_of_its_format_fails(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (result,) = results(tmp_path, CHECK, {name: content})
    assert result.outcome is Outcome.FAILED
    assert words in (result.reason or "")
    assert result.location is not None
    assert result.location.path == name


def test_a_ragged_row_is_found_on_its_line(tmp_path: Path) -> None:
    content = 'a,b\n1,"x\ny"\n3,4\n5,6,7\n'
    (result,) = results(tmp_path, CHECK, {"a.csv": content})
    assert result.location is not None
    assert result.location.line == 5
    assert result.reason == "a row of 3 fields in a table of 2; such rows: 1 of 4"


def test_a_file_beyond_the_limit_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MAX_TEXT_BYTES", 10)
    found = outcome(tmp_path, CHECK, {"a.csv": RIGHT["a.csv"]})
    assert found[0] is Outcome.SKIPPED
    assert "more than the 10 bytes" in found[1]


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08\0", "\ufefft,u\n".encode("utf-16")])
def test_what_is_packed_or_of_another_encoding_is_not_judged(tmp_path: Path, content: bytes) -> None:
    assert outcome(tmp_path, CHECK, {"a.csv": content})[0] is Outcome.SKIPPED


@pytest.mark.parametrize(
    ("files", "expected", "words"),
    [
        ({"a.csv": "name\nsun\n"}, Outcome.PASSED, ""),
        ({"a.csv": POINTER}, Outcome.FAILED, "git-LFS pointer for 987654 bytes"),
        ({"a.csv": "<!doctype html><html>"}, Outcome.FAILED, "error page"),
        ({"a.csv": ""}, Outcome.FAILED, "empty"),
        ({}, Outcome.NOT_APPLICABLE, "no data file"),
    ],
)
def test_what_stands_in_for_data_fails(tmp_path: Path, files: dict[str, Any], expected: Outcome, words: str) -> None:
    found = outcome(tmp_path, "data.fetched", files)
    assert found[0] is expected
    assert words in found[1]


def test_a_pointer_is_told_once(tmp_path: Path) -> None:
    assert outcome(tmp_path, CHECK, {"a.csv": POINTER})[0] is Outcome.NOT_APPLICABLE
