import struct
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from astrobio.data.climate_cube_files import ClimateCube

Variables = Mapping[str, tuple[tuple[str, ...], NDArray[np.generic], Mapping[str, object]]]
ClassicNetcdf = Callable[..., bytes]
_KINDS = {"i1": 1, "S1": 2, "i2": 3, "i4": 4, "f4": 5, "f8": 6, "u1": 7, "u2": 8, "u4": 9, "i8": 10, "u8": 11}


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)


def _classic(variables: Variables, *, version: int = 1, records: str = "") -> bytes:
    """A netCDF classic file, written from its specification; `records` is the record dimension, if any."""

    def count(number: int) -> bytes:
        return struct.pack(">Q" if version == 5 else ">I", number)

    def name(text: str) -> bytes:
        return count(len(text)) + _padded(text.encode())

    def listed(tag: int, elements: list[bytes]) -> bytes:
        return struct.pack(">I", tag if elements else 0) + count(len(elements)) + b"".join(elements)

    def attribute(key: str, value: object) -> bytes:
        array = np.frombuffer(value.encode(), "S1") if isinstance(value, str) else np.atleast_1d(np.asarray(value))
        big_endian = array.astype(array.dtype.newbyteorder(">")).tobytes()
        return name(key) + struct.pack(">I", _KINDS[array.dtype.str[1:]]) + count(array.size) + _padded(big_endian)

    sizes = {key: size for dims, array, _ in variables.values() for key, size in zip(dims, array.shape, strict=True)}
    index = {key: place for place, key in enumerate(sizes)}
    has_records = {key: bool(dims) and dims[0] == records for key, (dims, _, _) in variables.items()}

    def header(begins: Mapping[str, int]) -> bytes:
        dimensions = [name(key) + count(0 if key == records else size) for key, size in sizes.items()]
        described = []
        for key, (dims, array, attributes) in variables.items():
            offset = struct.pack(">I" if version == 1 else ">Q", begins.get(key, 0))
            described.append(
                name(key)
                + count(len(dims))
                + b"".join(count(index[each]) for each in dims)
                + listed(12, [attribute(*pair) for pair in attributes.items()])
                + struct.pack(">I", _KINDS[array.dtype.str[1:]])
                + count(len(_padded(array.tobytes())))
                + offset
            )
        start = b"CDF" + bytes([version]) + count(sizes.get(records, 0))
        return start + listed(10, dimensions) + listed(12, []) + listed(11, described)

    def stored(array: NDArray[np.generic]) -> bytes:
        return np.asarray(array).astype(array.dtype.newbyteorder(">")).tobytes()  # a scalar would keep its order

    at, begins, body = len(header({})), {}, b""
    for key, (_, array, _) in variables.items():
        if not has_records[key]:
            begins[key], body = at + len(body), body + _padded(stored(array))
    with_records = [key for key in variables if has_records[key]]
    for number in range(sizes.get(records, 0)):
        for key in with_records:
            begins.setdefault(key, at + len(body))
            of_record = stored(variables[key][1][number])
            body += of_record if len(with_records) == 1 else _padded(of_record)
    return header(begins) + body


@pytest.fixture
def classic_netcdf() -> ClassicNetcdf:
    """Bytes of a netCDF classic file with {name: (dimensions, values, attributes)}."""
    return _classic


@pytest.fixture
def cube() -> ClimateCube:
    """Two variables; the temperatures rise from 200 K, each value there once."""
    shape = (1, 2, 3, 4, 5)
    values = 200.0 + torch.arange(120, dtype=torch.float64).reshape(shape) / 4.0
    return ClimateCube(
        variables=("ta", "hus"),
        units=("K", "1"),
        values=torch.cat((values, values / 1000.0)),
        present=torch.ones(2, *shape[1:], dtype=torch.bool),
        time=torch.tensor([0.0, 31.0], dtype=torch.float64),
        level=torch.tensor([1e5, 5e4, 1e4], dtype=torch.float64),
        latitude_deg=torch.tensor([-60.0, -20.0, 20.0, 60.0], dtype=torch.float64),
        longitude_deg=torch.arange(0.0, 360.0, 72.0, dtype=torch.float64),
        time_units="days since 2000-01-01",
        level_units="Pa",
    )


@pytest.fixture
def surface_cube(cube: ClimateCube) -> ClimateCube:
    """The temperature of `cube` at its first time and lowest level, without either dimension."""
    nothing = torch.full((1,), torch.nan, dtype=torch.float64)
    return ClimateCube(
        variables=("ta",),
        units=("K",),
        values=cube.values[:1, :1, :1],
        present=cube.present[:1, :1, :1],
        time=nothing,
        level=nothing,
        latitude_deg=cube.latitude_deg,
        longitude_deg=cube.longitude_deg,
        time_units="",
        level_units="",
    )


@pytest.fixture
def assert_same_cube() -> Callable[[ClimateCube, ClimateCube], None]:
    """Compares every field, NaN equal to NaN."""

    def compare(first: ClimateCube, second: ClimateCube) -> None:
        for name, value in vars(first).items():
            other = getattr(second, name)
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(value, other, rtol=0.0, atol=0.0, equal_nan=True, msg=name)
            else:
                assert value == other, name

    return compare
