import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrobio.data.exoplanet_archive import (
    ARCHIVE_COLUMNS,
    COLUMN_NAMES,
    ExoplanetTable,
    load_exoplanet_archive,
    write_exoplanet_archive,
)

# As the archive's download button gives it, with its stray bracket after "au".
DOWNLOADED = """\
# This file was produced by the NASA Exoplanet Archive  http://exoplanetarchive.ipac.caltech.edu
# Thu Nov  5 02:00:00 2026
#
# COLUMN pl_name:        Planet Name
# COLUMN hostname:       Host Name
# COLUMN default_flag:   Default Parameter Set
# COLUMN pl_orbsmax:     Orbit Semi-Major Axis [au])
# COLUMN pl_rade:        Planet Radius [Earth Radius]
# COLUMN pl_radelim:     Planet Radius Limit Flag
# COLUMN pl_orbeccen:    Eccentricity
#
pl_name,hostname,default_flag,pl_orbsmax,pl_rade,pl_radelim,pl_orbeccen,disc_facility
Example b,Example,0,0.5,1.2,0,0.1,"Observatory, East"
Example b,Example,1,0.4,1.5,1,,Observatory
Example c,Example,1,1.0,,,0.0,Observatory
"""
SIMPLE = "pl_name,pl_rade\na,1.0\nb,2.0\n"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., ExoplanetTable]:
    def load_text(text: str | bytes) -> ExoplanetTable:
        path = tmp_path / "planets.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_exoplanet_archive(path)

    return load_text


def test_a_download_is_read_with_its_limits_and_missing_values(load: Callable[..., ExoplanetTable]) -> None:
    table = load(DOWNLOADED)
    assert table.names == ("Example b", "Example c")  # of each, the default parameter set
    assert table.hosts == ("Example", "Example")
    assert table.values.dtype == torch.float64
    assert table.column("pl_orbsmax").tolist() == [0.4, 1.0]
    radius = COLUMN_NAMES.index("pl_rade")
    assert table.known[:, radius].tolist() == [True, False]
    assert table.limits[:, radius].tolist() == [1, 0]
    assert table.column("pl_rade")[0] == 1.5
    assert bool(table.measured("pl_rade").isnan().all())
    assert table.known[:, COLUMN_NAMES.index("pl_orbeccen")].tolist() == [False, True]
    assert not bool(table.known[:, COLUMN_NAMES.index("sy_dist")].any())


@pytest.mark.parametrize("text", [SIMPLE, SIMPLE.replace("\n", "\r\n"), "\ufeff" + SIMPLE, "\n" + SIMPLE + "\n\n"])
def test_line_ends_byte_order_marks_and_empty_lines_change_nothing(
    load: Callable[..., ExoplanetTable], text: str
) -> None:
    table = load(text)
    assert (table.names, table.column("pl_rade").tolist()) == (("a", "b"), [1.0, 2.0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("b,2.0", "b,two", "row 2, column pl_rade: 'two' is not a number; a missing value is an empty cell"),
        ("b,2.0", "b,nan", "row 2, column pl_rade: 'nan' is not a number"),
        ("b,2.0", "b,1_0", "row 2, column pl_rade: '1_0' is not a number"),
        ("b,2.0", "b,1e999", "row 2, column pl_rade: '1e999' is outside (0, 200] Earth Radius"),
        ("b,2.0", "b,0", "row 2, column pl_rade: '0' is outside (0, 200] Earth Radius"),
        ("b,2.0", "b", "row 2, column 'pl_name': the row has 1 cells and the header 2"),
        ("b,2.0", "b,2.0,3.0", "row 2, column 'pl_rade': the row has 3 cells and the header 2"),
        ("b,2.0", "a,2.0", "row 2, column pl_name: 'a' is in row 1 already"),
        ("b,2.0", " ,2.0", "row 2, column pl_name: a planet without a name"),
        ("b,2.0", '"b,2.0', "row 2, column unknown: not CSV"),
        ("a,1.0\nb,2.0\n", "", "row 1, column pl_name: the table has no planets"),
        ("pl_name", "name", "the header has no column pl_name"),
        ("pl_name,", "pl_name;", "its separator is not a comma"),
        ("pl_rade", "pl_name", "the header has column 'pl_name' twice"),
        ("pl_rade", "radius", "the header has none of the columns pl_rade, "),
        ("pl_name", "# COLUMN pl_rade: Planet Radius [Jupiter Radius]\npl_name", "its unit as 'Jupiter Radius' where"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    load: Callable[..., ExoplanetTable], old: str, new: str, message: str
) -> None:
    assert old in SIMPLE
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        load(SIMPLE.replace(old, new, 1))
    assert "planets.csv: " in str(error.value)


def test_the_flag_of_a_missing_value_is_no_limit(load: Callable[..., ExoplanetTable]) -> None:
    assert not bool(load("pl_name,pl_rade,pl_radelim\na,,1\n").limits.any())


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("a,1,2,1", "row 1, column pl_radelim: the limit flag '2' is none of -1, 0, 1"),
        ("a,1,,yes", "row 1, column default_flag: 'yes' is neither 0 nor 1"),
        ("a,1,,0", "row 1, column pl_name: the table has no planets"),
    ],
)
def test_flags_are_checked(load: Callable[..., ExoplanetTable], cells: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load(f"pl_name,pl_rade,pl_radelim,default_flag\n{cells}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!doctype html><html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-LFS pointer"),
        (b"", "empty"),
        (b"CDF\x01" + b"\0" * 60, "a netCDF classic file where a CSV table is expected"),
        (SIMPLE.encode() + "\u00e9,1\n".encode("latin-1"), "line 4 is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_table_is_refused(load: Callable[..., ExoplanetTable], content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(content)


@pytest.mark.parametrize("name", COLUMN_NAMES)
def test_every_column_has_a_range_that_is_enforced_on_both_sides(
    load: Callable[..., ExoplanetTable], name: str
) -> None:
    column = ARCHIVE_COLUMNS[name]
    assert load(f"pl_name,{name}\na,{column.high}\n").column(name).tolist() == [column.high]
    for value in (column.low - 1.0, column.high * 1.01):
        with pytest.raises(ValueError, match=f"row 1, column {name}: .* is outside"):
            load(f"pl_name,{name}\na,{value}\n")


def test_a_comment_in_the_middle_is_not_skipped_silently(load: Callable[..., ExoplanetTable]) -> None:
    with pytest.raises(ValueError, match="row 2, column 'pl_name': the row has 1 cells"):
        load(SIMPLE.replace("b,2.0", "# cut here"))


_CELLS = st.one_of(
    st.floats(allow_nan=False).map(repr), st.just(""), st.text(max_size=8), st.sampled_from(["1", "-1", "0.5", "1e3"])
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    columns=st.lists(
        st.sampled_from([*COLUMN_NAMES, "hostname", "default_flag", "pl_radelim", "note"]), unique=True, max_size=5
    ),
    data=st.data(),
)
def test_any_table_is_read_or_refused_in_one_line_with_row_and_column(
    load: Callable[..., ExoplanetTable], columns: list[str], data: st.DataObject
) -> None:
    header = ["pl_name", "pl_eqt", *(name for name in columns if name != "pl_eqt")]
    cells = st.lists(_CELLS, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(cells | st.lists(_CELLS, max_size=7), max_size=4))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    content = text.getvalue().encode("utf-8", errors="surrogatepass")
    try:
        table = load(content)
    except ValueError as error:
        refused = str(error)
    else:
        assert 1 <= len(table) <= len(rows)
        assert torch.equal(table.known, ~table.values.isnan())
        return
    assert len(refused.splitlines()) == 1
    place = r"planets\.csv: (row \d+, column \S+: |line \d+ is not UTF-8 text)"
    assert re.search(place, refused) or ("\0" in text.getvalue() and "this is neither text nor" in refused)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=200) | st.text(alphabet='pl_name,adeq"#1.\n\r', max_size=80).map(str.encode))
def test_any_content_is_read_or_refused_in_one_line(load: Callable[..., ExoplanetTable], content: bytes) -> None:
    try:
        load(content)
    except ValueError as error:
        refused = str(error)
    else:
        return
    assert "planets.csv: " in refused
    assert len(refused.splitlines()) == 1


@st.composite
def tables(draw: st.DrawFn) -> ExoplanetTable:
    names = draw(st.lists(st.text("abc ,\"'\u00e9", min_size=1).map(str.strip).filter(bool), unique=True, min_size=1))
    rows = [
        [
            draw(st.none() | st.floats(each.low, each.high, exclude_min=each.low_is_open, allow_subnormal=False))
            for each in ARCHIVE_COLUMNS.values()
        ]
        for _ in names
    ]
    values = torch.tensor(
        [[float("nan") if value is None else value for value in row] for row in rows], dtype=torch.float64
    )
    flags = [[draw(st.sampled_from([-1, 0, 1])) for _ in row] for row in rows]
    known = ~values.isnan()
    limits = torch.tensor(flags, dtype=torch.int8).masked_fill(~known, 0)
    return ExoplanetTable(tuple(names), ("host",) * len(names), values, known, limits)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(table=tables())
def test_a_table_is_read_back_as_it_was_written(tmp_path: Path, table: ExoplanetTable) -> None:
    path = tmp_path / "table.csv"
    path.unlink(missing_ok=True)
    write_exoplanet_archive(table, path)
    again = load_exoplanet_archive(path)
    assert (again.names, again.hosts) == (table.names, table.hosts)
    assert torch.equal(again.values.nan_to_num(-99.0), table.values.nan_to_num(-99.0))
    assert torch.equal(again.known, table.known)
    assert torch.equal(again.limits, table.limits)


def test_a_written_table_replaces_nothing(tmp_path: Path, load: Callable[..., ExoplanetTable]) -> None:
    table = load(SIMPLE)
    with pytest.raises(FileExistsError):
        write_exoplanet_archive(table, tmp_path / "planets.csv")


def test_a_column_that_is_not_read_is_named(load: Callable[..., ExoplanetTable]) -> None:
    with pytest.raises(ValueError, match="there is no column 'pl_dens'; there are pl_rade"):
        load(SIMPLE).column("pl_dens")
