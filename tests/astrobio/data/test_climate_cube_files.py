"""What files hold and how it is brought into one form; the files are netCDF classic, for which no library is needed."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from astrobio.data.climate_cube_files import ClimateCube, Missing, load_climate_cube
from astrobio.data.quantities import FLUX, HEIGHT, MIXING_RATIO, PRESSURE, TEMPERATURE, Quantity

TIME, LEVEL, LAT, LON = 2, 3, 4, 5
VALUES = 200.0 + np.arange(TIME * LEVEL * LAT * LON, dtype="f8").reshape(TIME, LEVEL, LAT, LON) / 4.0
COORDINATES: dict[str, Any] = {
    "time": (("time",), np.asarray([0.0, 31.0]), {"units": "days since 2000-01-01"}),
    "lev": (("lev",), np.asarray([1000.0, 500.0, 100.0]), {"units": "hPa"}),
    "lat": (("lat",), np.asarray([-67.5, -22.5, 22.5, 67.5]), {"units": "degrees_north"}),
    "lon": (("lon",), np.asarray([0.0, 72.0, 144.0, 216.0, 288.0]), {"units": "degrees_east"}),
}
TA = (("time", "lev", "lat", "lon"), VALUES, {"units": "K"})


@pytest.fixture
def load(tmp_path: Path, classic_netcdf: Callable[..., bytes]) -> Callable[..., ClimateCube]:
    """Loads a file with these variables, `COORDINATES` unless replaced; one replaced by None is left out."""

    def load_variables(
        variables: Mapping[str, Any], expected: Mapping[str, Quantity] | None = None, **options: Any
    ) -> ClimateCube:
        together = {name: each for name, each in {**COORDINATES, **variables}.items() if each is not None}
        path = tmp_path / "cube.nc"
        path.write_bytes(classic_netcdf(together, records="time"))
        return load_climate_cube(path, expected or {"ta": TEMPERATURE}, **options)

    return load_variables


def with_coordinate(name: str, values: list[float], **attributes: str) -> dict[str, Any]:
    return {"ta": TA, name: ((name,), np.asarray(values), attributes or COORDINATES[name][2])}


def test_a_file_in_the_order_of_a_cube_is_taken_as_it_is(load: Callable[..., ClimateCube]) -> None:
    cube = load({"ta": TA})
    assert torch.equal(cube.values, torch.from_numpy(VALUES)[None])
    assert bool(cube.present.all())
    assert (cube.variables, cube.units) == (("ta",), ("K",))
    assert (cube.time_units, cube.level_units) == ("days since 2000-01-01", "Pa")
    assert cube.time.tolist() == [0.0, 31.0]
    assert cube.level.tolist() == [1e5, 5e4, 1e4]
    assert cube.latitude_deg.tolist() == [-67.5, -22.5, 22.5, 67.5]
    assert cube.longitude_deg.tolist() == [0.0, 72.0, 144.0, 216.0, 288.0]


def test_dimensions_in_another_order_are_moved(load: Callable[..., ClimateCube]) -> None:
    moved = (("lon", "lat", "lev"), VALUES[0].transpose(2, 1, 0), {"units": "K"})
    assert torch.equal(load({"ta": moved}).values[0, 0], torch.from_numpy(VALUES[0]))


def test_variables_come_in_the_order_asked_for(load: Callable[..., ClimateCube]) -> None:
    hus = (TA[0], VALUES / 1000.0, {"units": "kg kg-1"})
    cube = load({"ta": TA, "hus": hus}, {"hus": MIXING_RATIO, "ta": TEMPERATURE})
    assert cube.variables == ("hus", "ta")
    assert torch.equal(cube.values[1], torch.from_numpy(VALUES))


def test_latitudes_from_north_to_south_are_turned_with_their_values(load: Callable[..., ClimateCube]) -> None:
    cube = load(with_coordinate("lat", [67.5, 22.5, -22.5, -67.5]))
    assert cube.latitude_deg.tolist() == [-67.5, -22.5, 22.5, 67.5]
    assert torch.equal(cube.values[0], torch.from_numpy(VALUES).flip(2))


@pytest.mark.parametrize(
    ("given", "order"),
    [
        ([-144.0, -72.0, 0.0, 72.0, 144.0], [2, 3, 4, 0, 1]),
        ([288.0, 216.0, 144.0, 72.0, 0.0], [4, 3, 2, 1, 0]),
        ([72.0, 144.0, 216.0, 288.0, 360.0], [4, 0, 1, 2, 3]),
    ],
    ids=["from -180", "westward", "ends at 360"],
)
def test_longitudes_go_eastward_from_0_with_their_values(
    load: Callable[..., ClimateCube], given: list[float], order: list[int]
) -> None:
    cube = load(with_coordinate("lon", given))
    assert cube.longitude_deg.tolist() == [0.0, 72.0, 144.0, 216.0, 288.0]
    assert torch.equal(cube.values[0], torch.from_numpy(VALUES)[..., order])


@pytest.mark.parametrize(
    ("given", "attributes", "kept", "is_turned"),
    [
        ([100.0, 500.0, 1000.0], {"units": "hPa"}, [1e5, 5e4, 1e4], True),
        ([0.0, 5.0, 10.0], {"units": "km"}, [0.0, 5e3, 1e4], False),
        ([10.0, 5.0, 0.0], {"units": "km"}, [0.0, 5e3, 1e4], True),
        ([0.1, 0.5, 0.9], {"units": "1", "positive": "down"}, [0.9, 0.5, 0.1], True),
        ([1.0, 2.0, 3.0], {"units": "level", "positive": "up"}, [1.0, 2.0, 3.0], False),
    ],
)
def test_levels_go_from_the_ground_up_with_their_values(
    load: Callable[..., ClimateCube], given: list[float], attributes: dict[str, str], kept: list[float], is_turned: bool
) -> None:
    cube = load(with_coordinate("lev", given, **attributes))
    assert cube.level.tolist() == kept
    expected = torch.from_numpy(VALUES)
    assert torch.equal(cube.values[0], expected.flip(1) if is_turned else expected)


def test_a_field_of_the_surface_has_one_level_and_one_time(load: Callable[..., ClimateCube]) -> None:
    cube = load({"ta": (("lat", "lon"), VALUES[0, 0], {"units": "K"})})
    assert cube.values.shape == (1, 1, 1, LAT, LON)
    assert bool(cube.level.isnan().all() & cube.time.isnan().all())
    assert (cube.time_units, cube.level_units) == ("", "")


@pytest.mark.parametrize(
    ("unit", "quantity", "given", "kept"),
    [
        ("degC", TEMPERATURE, -73.15, 200.0),
        ("celsius", TEMPERATURE, -73.15, 200.0),
        ("hPa", PRESSURE, 2.0, 200.0),
        ("km", HEIGHT, 0.2, 200.0),
        ("g/kg", MIXING_RATIO, 200.0, 0.2),
        ("W/m2", FLUX, 200.0, 200.0),
    ],
)
def test_known_units_are_converted(
    load: Callable[..., ClimateCube], unit: str, quantity: Quantity, given: float, kept: float
) -> None:
    cube = load({"x": (("lat", "lon"), np.full((LAT, LON), given), {"units": unit})}, {"x": quantity})
    assert cube.units == (quantity.unit,)
    torch.testing.assert_close(cube.values, torch.full_like(cube.values, kept), rtol=1e-12, atol=0.0)


def test_packed_values_are_unpacked_and_fill_values_masked(load: Callable[..., ClimateCube]) -> None:
    packed = np.full((LAT, LON), 100, "i2")
    packed[1, 2], packed[3, 4] = -999, -32767  # the second was never written
    attributes = {"units": "K", "scale_factor": 0.5, "add_offset": 250.0, "missing_value": np.int16(-999)}
    cube = load({"ta": (("lat", "lon"), packed, attributes)}, missing=Missing.MASK)
    assert (~cube.present).nonzero()[:, 3:].tolist() == [[1, 2], [3, 4]]
    assert bool((cube.values[cube.present] == 300.0).all())
    assert bool(cube.values[~cube.present].isnan().all())


def test_a_fill_value_is_compared_in_the_type_that_is_stored(load: Callable[..., ClimateCube]) -> None:
    values = VALUES[0, 0].astype("f4")
    values[0, 0] = np.float32(1e20)  # as float64 it is 100000002004087734272
    cube = load({"ta": (("lat", "lon"), values, {"units": "K", "_FillValue": 1e20})}, missing=Missing.MASK)
    assert int((~cube.present).sum()) == 1


def test_a_fill_value_beyond_the_range_of_the_type_is_no_value(load: Callable[..., ClimateCube]) -> None:
    fill = {"units": "K", "missing_value": 1e300}
    assert bool(load({"ta": (("lat", "lon"), VALUES[0, 0].astype("f4"), fill)}).present.all())


def test_a_signalling_nan_is_missing_like_any_other(load: Callable[..., ClimateCube]) -> None:
    values = VALUES[0, 0].astype("f4")
    values.view("u4")[0, 0] = 0x7FA00000
    cube = load({"ta": (("lat", "lon"), values, {"units": "K"})}, missing=Missing.MASK)
    assert int((~cube.present).sum()) == 1


def test_missing_values_are_refused_unless_masked(load: Callable[..., ClimateCube]) -> None:
    values = VALUES.copy()
    values[1, 2, 3, 4] = np.nan
    with pytest.raises(ValueError, match=r"cube\.nc: variable ta: 1 values are missing, the first at time 31, level "):
        load({"ta": (TA[0], values, {"units": "K"})})


def surface(values: object = VALUES[0, 0], **attributes: object) -> dict[str, Any]:
    return {"ta": (("lat", "lon"), np.asarray(values), {"units": "K", **attributes})}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "there is no variable ta; the file has lat, lev, lon, time"),
        ({"ta": (*TA[:2], {})}, "variable ta: has no units"),
        (surface(units="F"), "variable ta: is in 'F' where 'K' is expected; known for it are K, kelvin"),
        (surface(units="hPa"), "variable ta: is in 'hPa' where 'K' is expected"),
        (surface(VALUES[0, 0] * 1000), "variable ta: 200000 K at latitude -67.5, longitude 0 is outside [1, 10000]"),
        (surface(np.full((LAT, LON), np.inf)), "variable ta: inf K at latitude -67.5"),
        (surface(np.full((LAT, LON), b"a")), "variable ta: holds |S1, not numbers"),
        (surface(scale_factor="two"), "variable ta: attribute scale_factor is 'two' where one number is expected"),
        (surface(_Unsigned="true"), "variable ta: attribute _Unsigned is not supported"),
        ({"ta": (("lat",), VALUES[0, 0, :, 0], {"units": "K"})}, "variable ta: has no longitude among its dimensions"),
        ({"ta": (("x", "lat", "lon"), VALUES[0], {"units": "K"})}, "variable ta: dimension 'x' is not one of a cube"),
        ({"ta": (("lat", "latitude", "lon"), VALUES[:, 0], {"units": "K"})}, "both lat and latitude are a latitude"),
        ({"ta": TA, "lat": None}, "dimension lat: there is no coordinate, a variable of its name and its length 4"),
        (with_coordinate("lat", [-67.5, -22.5, 22.5, 91.0]), "lat: reaches from -67.5 to 91, outside [-90, 90]"),
        (with_coordinate("lat", [-67.5, 22.5, -22.5, 67.5]), "coordinate lat: is not in order"),
        (with_coordinate("lat", [1.0, 1.0, 2.0, 3.0]), "coordinate lat: is not in order, or a value is there twice"),
        (with_coordinate("lat", [np.nan, 1.0, 2.0, 3.0]), "coordinate lat: a value is missing or not finite"),
        (
            with_coordinate("lat", [1, 2, 3, 4], units="radians"),
            "lat: is in 'radians' where 'degrees_north' is expected",
        ),
        (with_coordinate("lat", [1, 2, 3, 4], long_name="x"), "coordinate lat: has no units"),
        (with_coordinate("lon", [0, 90, 180, 270, 360]), "coordinate lon: one longitude is there twice"),
        (with_coordinate("lon", [0, 90, 10, 100, 20]), "coordinate lon: does not go around in one direction"),
        (with_coordinate("lon", [0, 90, 180, 270, 400]), "lon: reaches from 0 to 400, outside [-180, 360]"),
        (with_coordinate("lev", [1, 2, 3], units="1"), "lev: is in '1', which does not tell what is up"),
        (with_coordinate("lev", [1, 2, 3], units="K"), "lev: is in 'K', which is neither a pressure nor a height"),
        (with_coordinate("lev", [-1, 2, 3], units="Pa"), "lev: a pressure is below 0"),
        (with_coordinate("time", [31.0, 0.0]), "coordinate time: is not in order"),
    ],
)
def test_what_cannot_be_a_cube_is_refused_with_file_and_variable(
    load: Callable[..., ClimateCube], variables: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        load({"latitude": (("latitude",), np.zeros(LAT), {}), **variables} if "both" in message else variables)
    assert "cube.nc: " in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_variables_of_different_dimensions_are_loaded_one_by_one(load: Callable[..., ClimateCube]) -> None:
    ps = (("time", "lat", "lon"), VALUES[:, 0], {"units": "Pa"})
    with pytest.raises(ValueError, match=r"variable ps: has dimensions \(time, lat, lon\) and ta has .* one by one"):
        load({"ta": TA, "ps": ps}, {"ta": TEMPERATURE, "ps": PRESSURE})


def test_a_small_file_that_declares_too_many_values_is_refused_before_they_are_read(
    load: Callable[..., ClimateCube], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrobio.data.stored_arrays.MAX_VALUES", 100)
    with pytest.raises(ValueError, match=r"variable ta: has 120 values .* 1 to 100 can be loaded"):
        load({"ta": TA})


def test_a_file_above_the_limit_is_refused(load: Callable[..., ClimateCube]) -> None:
    with pytest.raises(ValueError, match="above the limit of 0 MiB"):
        load({"ta": TA}, max_bytes=10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-LFS pointer"),
        (b"a,b\n1,2\n", "a CSV table where a netCDF classic file or a netCDF4 (HDF5) file is expected"),
        (b"", "the file is empty"),
    ],
)
def test_what_is_no_cube_at_all_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "cube.nc"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_climate_cube(path, {"ta": TEMPERATURE})


def test_a_file_cut_short_is_refused_and_not_read_as_zeros(
    tmp_path: Path, classic_netcdf: Callable[..., bytes]
) -> None:
    path = tmp_path / "cube.nc"
    path.write_bytes(classic_netcdf({**COORDINATES, "ta": TA}, records="time")[:-8])
    with pytest.raises(ValueError, match="cut short"):
        load_climate_cube(path, {"ta": TEMPERATURE})


def test_no_variable_to_load_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name at least one variable to load"):
        load_climate_cube(tmp_path / "cube.nc", {})


@pytest.mark.parametrize(("unit", "low", "high"), [("degC", 0.0, 1.0), ("K", 1.0, 1.0), ("K", 0.0, float("inf"))])
def test_a_quantity_has_a_unit_that_is_kept_and_a_finite_range(unit: str, low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"values are kept in one of K, |needs a finite range"):
        Quantity(unit, low, high)


def test_a_cube_whose_shapes_do_not_belong_together_is_refused() -> None:
    one = torch.zeros(1, dtype=torch.float64)
    values = torch.zeros(1, 1, 1, 1, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"values and mask of shape \(1, 1, 1, 1, 1\); got \(1, 1, 1, 1, 2\)"):
        ClimateCube(("ta",), ("K",), values, values > 0, one, one, one, one, "", "")
