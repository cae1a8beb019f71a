from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrobio.data.netcdf_classic import read_header, read_values

VARIABLES = {
    "scalar": ((), np.asarray(3, "i4"), {}),
    "bytes": (("x",), np.asarray([1, 2, 3], "i1"), {"scale": np.asarray([2.5], "f4")}),
    "letters": (("x",), np.asarray([b"a", b"b", b"c"], "S1"), {}),
    "grid": (("y", "x"), np.arange(6, dtype="f8").reshape(2, 3), {"units": "K"}),
    "short": (("time", "x"), np.arange(12, dtype="i2").reshape(4, 3), {}),
    "double": (("time",), np.arange(4, dtype="f8"), {}),
}


@pytest.mark.parametrize("version", [1, 2, 5])
@pytest.mark.parametrize("names", [list(VARIABLES), ["grid", "short"]], ids=["all", "one with records"])
def test_every_variable_is_read_as_written(
    tmp_path: Path, classic_netcdf: Callable[..., bytes], version: int, names: list[str]
) -> None:
    written = {name: VARIABLES[name] for name in names}
    path = tmp_path / "a.nc"
    content = classic_netcdf(written, version=version, records="time")
    path.write_bytes(content)
    header = read_header(path)
    assert list(header.variables) == names
    for name, (dimensions, values, _) in written.items():
        variable = header.variables[name]
        assert variable.dimensions == dimensions
        np.testing.assert_array_equal(read_values(path, variable), values)
    assert header.variables["grid"].attributes == {"units": "K"}
    assert len(content) - 4 < header.num_bytes <= len(content)


def test_numbers_and_text_are_told_apart_in_attributes(tmp_path: Path, classic_netcdf: Callable[..., bytes]) -> None:
    path = tmp_path / "a.nc"
    path.write_bytes(classic_netcdf(VARIABLES, records="time"))
    assert read_header(path).variables["bytes"].attributes == {"scale": (2.5,)}


def test_64_bit_integers_are_read(tmp_path: Path, classic_netcdf: Callable[..., bytes]) -> None:
    values = np.asarray([2**60, -5], "i8")
    path = tmp_path / "a.nc"
    path.write_bytes(classic_netcdf({"v": (("x",), values, {})}, version=5))
    np.testing.assert_array_equal(read_values(path, read_header(path).variables["v"]), values)


def test_a_header_cut_anywhere_is_an_error_that_names_the_file(
    tmp_path: Path, classic_netcdf: Callable[..., bytes]
) -> None:
    content = classic_netcdf(VARIABLES, records="time")
    end = content.index(b"double") + 20  # within the last variable's description
    path = tmp_path / "a.nc"
    for length in range(4, end, 7):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"a\.nc: the header .* is cut short or damaged near byte"):
            read_header(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_header_is_read_or_refused(
    tmp_path: Path, classic_netcdf: Callable[..., bytes], data: st.DataObject
) -> None:
    content = bytearray(classic_netcdf(VARIABLES, version=data.draw(st.sampled_from([1, 2, 5])), records="time"))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.nc"
    path.write_bytes(content)
    try:
        assert read_header(path).num_bytes > 0
    except ValueError as error:
        refused = str(error)
    else:
        return
    assert refused.startswith(str(path))
    assert len(refused.splitlines()) == 1
