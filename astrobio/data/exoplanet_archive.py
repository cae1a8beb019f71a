"""Tables of the NASA Exoplanet Archive as CSV: `ps` and `pscomppars`, from its TAP service or its download button.

Columns, units and limit flags are those of "Planetary Systems and Planetary Systems Composite Parameters Data Column
Definitions" (https://exoplanetarchive.ipac.caltech.edu/docs/API_PS_columns.html). A file from the download button
begins with comments, lines that start with `#`, which name the unit of each column; these are checked. The TAP
service's CSV has none: its units are those of the definitions.
"""

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor

from astrobio.data.files import FileKind, require_data_file

MAX_CSV_BYTES = 512 * 2**20  # all of `ps` with all its columns is below 200 MB


@dataclass(frozen=True)
class ArchiveColumn:
    """A column of numbers.

    Attributes:
        unit: as the archive writes it; empty for a number without unit.
        low: no value is below it. The ranges hold every planet known and catch a shifted column or another unit.
        high: no value is above it.
        low_is_open: whether `low` itself is excluded.
    """

    unit: str
    low: float
    high: float
    low_is_open: bool = True


ARCHIVE_COLUMNS: dict[str, ArchiveColumn] = {
    "pl_rade": ArchiveColumn("Earth Radius", 0.0, 200.0),
    "pl_bmasse": ArchiveColumn("Earth Mass", 0.0, 3e4),  # the archive's own bound is 30 Jupiter masses, 9,535
    "pl_orbper": ArchiveColumn("days", 0.0, 1e10),
    "pl_orbsmax": ArchiveColumn("au", 0.0, 1e5),
    "pl_orbeccen": ArchiveColumn("", 0.0, 1.0, low_is_open=False),
    "pl_insol": ArchiveColumn("Earth Flux", 0.0, 1e6, low_is_open=False),
    "pl_eqt": ArchiveColumn("K", 0.0, 2e4),
    "st_teff": ArchiveColumn("K", 0.0, 5e5),
    "st_rad": ArchiveColumn("Solar Radius", 0.0, 2e3),
    "st_mass": ArchiveColumn("Solar mass", 0.0, 300.0),
    "st_lum": ArchiveColumn("log(Solar)", -12.0, 8.0, low_is_open=False),
    "sy_dist": ArchiveColumn("pc", 0.0, 2e5),
}
"""The columns of numbers that are read; others in a file are left alone."""

COLUMN_NAMES = tuple(ARCHIVE_COLUMNS)
"""The columns of a table's tensors, in order."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_COLUMN_COMMENT = re.compile(r"#\s{0,9}COLUMN\s{1,9}(\w+)\s{0,9}:", re.ASCII)


@dataclass(frozen=True, eq=False)
class ExoplanetTable:
    """Planets of the archive, one row each.

    Attributes:
        names: of the planets (`pl_name`), each there once.
        hosts: of their stars (`hostname`); empty where the file does not say.
        values: (planets, columns), float64, columns `COLUMN_NAMES` in the units of `ARCHIVE_COLUMNS`, NaN where the
            archive has no value.
        known: bool, of that shape: where there is a value.
        limits: int8, of that shape: 0 for a measured value, 1 where the value is an upper limit, -1 a lower one.

    Raises:
        ValueError: shapes do not belong together.
    """

    names: tuple[str, ...]
    hosts: tuple[str, ...]
    values: Tensor
    known: Tensor
    limits: Tensor

    def __post_init__(self) -> None:
        """Refuse tensors that do not form a table."""
        shape = (len(self.names), len(COLUMN_NAMES))
        if not self.values.shape == self.known.shape == self.limits.shape == shape or len(self.hosts) != shape[0]:
            raise ValueError(
                f"a table of {shape[0]} planets has tensors of shape {shape}; got {tuple(self.values.shape)}, "
                f"{tuple(self.known.shape)} and {tuple(self.limits.shape)}, and {len(self.hosts)} hosts"
            )

    def __len__(self) -> int:
        """The number of planets."""
        return len(self.names)

    def column(self, name: str) -> Tensor:
        """(planets,), the values of one of `COLUMN_NAMES`, limits among them.

        Raises:
            ValueError: there is no such column.
        """
        return self.values[:, _position(name)]

    def measured(self, name: str) -> Tensor:
        """(planets,), as `column`, NaN also where the value is a limit."""
        return self.column(name).masked_fill(self.limits[:, _position(name)] != 0, float("nan"))


def load_exoplanet_archive(path: str | Path, *, max_bytes: int = MAX_CSV_BYTES) -> ExoplanetTable:
    """The planets of a CSV file of the archive.

    `ps` has a row per publication: where the file has the column `default_flag`, the rows of the default parameter set
    are taken. Columns that the file lacks are NaN throughout.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a whole CSV file (see `require_data_file`), has no header with `pl_name` and a
            column of numbers, or a row that cannot be what it says. One line: file, row, column, what is wrong. Rows
            are counted from 1 after the header.
    """
    path = Path(path)
    require_data_file(path, expected=frozenset({FileKind.CSV}), max_bytes=max_bytes)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read_table(file)
    except UnicodeDecodeError as error:
        line = _first_line_that_is_no_text(path)
        raise ValueError(f"{path}: line {line} is not UTF-8 text; download the table as CSV again") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_exoplanet_archive(table: ExoplanetTable, path: str | Path) -> None:
    """The table as CSV with comments as the archive's download has them; every number is read back as it is.

    Raises:
        FileExistsError: there is a file at `path`.
    """
    with Path(path).open("x", encoding="utf-8", newline="") as file:
        for name, column in ARCHIVE_COLUMNS.items():
            file.write(f"# COLUMN {name}: [{column.unit}]\n" if column.unit else f"# COLUMN {name}:\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pl_name", "hostname", *(each for name in COLUMN_NAMES for each in (name, f"{name}lim"))])
        for row, name in enumerate(table.names):
            cells: list[object] = [name, table.hosts[row]]
            for column_index in range(len(COLUMN_NAMES)):
                is_known = bool(table.known[row, column_index])
                cells += (
                    [float(table.values[row, column_index]), int(table.limits[row, column_index])]
                    if is_known
                    else ["", ""]
                )
            writer.writerow(cells)


def _read_table(file: TextIO) -> ExoplanetTable:
    header_line = ""
    for line in file:
        if line.startswith("#"):
            _check_unit(line)
        elif line.strip():
            header_line = line
            break
    rows = _rows(file)
    header = _header(header_line)
    names: dict[str, int] = {}  # and the row where each is
    hosts: list[str] = []
    values: list[list[float]] = []
    limits: list[list[int]] = []
    for number, cells in rows:
        if not cells:
            continue
        if len(cells) != len(header):
            last = header[min(len(cells), len(header)) - 1]
            raise ValueError(
                f"row {number}, column {_shown(last)}: the row has {len(cells)} cells "
                f"and the header {len(header)}; the file may be cut short, so download it again"
            )
        row = dict(zip(header, cells, strict=True))
        if not _is_default_set(number, row):
            continue
        name = row["pl_name"].strip()
        if not name:
            raise ValueError(f"row {number}, column pl_name: a planet without a name")
        if name in names:
            raise ValueError(
                f"row {number}, column pl_name: {_shown(name)} is in row {names[name]} already; "
                "ask the archive for one row a planet, from pscomppars or with default_flag=1"
            )
        names[name] = number
        hosts.append(row.get("hostname", "").strip())
        values.append([_value(number, column, row) for column in COLUMN_NAMES])
        limits.append([_limit(number, column, row) for column in COLUMN_NAMES])
    if not names:
        raise ValueError("row 1, column pl_name: the table has no planets; check the query")
    table = torch.tensor(values, dtype=torch.float64)
    known = ~table.isnan()
    flags = torch.tensor(limits, dtype=torch.int8).masked_fill(~known, 0)
    return ExoplanetTable(tuple(names), tuple(hosts), table, known, flags)


def _rows(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(file, strict=True)
    number = 0
    while True:
        number += 1
        try:
            yield number, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"row {number}, column unknown: not CSV ({error})") from error


def _first_line_that_is_no_text(path: Path) -> int:
    """Counted from 1; the error of a decoder counts from the last block that it was given."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    raise AssertionError(f"every line of {path} is text, and the whole is not")


def _header(line: str) -> list[str]:
    try:
        header = [cell.strip() for cell in next(csv.reader([line], strict=True), [])]
    except csv.Error as error:
        raise ValueError(f"the header is not CSV ({error})") from error
    if "pl_name" not in header:
        raise ValueError(
            f"the header has no column pl_name (it begins {_shown(line.strip())}); "
            "this is not a table ps or pscomppars, or its separator is not a comma"
        )
    twice = [name for name in header if header.count(name) > 1] if len(set(header)) < len(header) else []
    if twice:
        raise ValueError(f"the header has column {_shown(twice[0])} twice")
    if not set(header) & set(COLUMN_NAMES):
        raise ValueError(f"the header has none of the columns {', '.join(COLUMN_NAMES)}")
    return header


def _check_unit(comment: str) -> None:
    """Refuse a comment that names another unit; one that names none says nothing."""
    match = _COLUMN_COMMENT.match(comment)
    if match is None or match[1] not in ARCHIVE_COLUMNS or "[" not in comment:
        return
    expected = ARCHIVE_COLUMNS[match[1]].unit
    found = comment[comment.rfind("[") + 1 :].partition("]")[0].strip()  # the archive has "[au])", with a stray bracket
    if found.casefold() != expected.casefold():
        raise ValueError(
            f"column {match[1]}: the comments give its unit as {_shown(found)} where {expected!r} is expected; "
            "ask for the column in that unit"
        )


def _is_default_set(number: int, row: dict[str, str]) -> bool:
    flag = row.get("default_flag", "1").strip()
    if flag not in ("0", "1"):
        raise ValueError(f"row {number}, column default_flag: {_shown(flag)} is neither 0 nor 1")
    return flag == "1"


def _value(number: int, column: str, row: dict[str, str]) -> float:
    cell = row.get(column, "").strip()
    if not cell:
        return math.nan
    if not _NUMBER.fullmatch(cell):
        raise ValueError(
            f"row {number}, column {column}: {_shown(cell)} is not a number; a missing value is an empty cell"
        )
    value, limits = float(cell), ARCHIVE_COLUMNS[column]
    too_low = value <= limits.low if limits.low_is_open else value < limits.low
    if too_low or value > limits.high:
        bracket = "(" if limits.low_is_open else "["
        raise ValueError(
            f"row {number}, column {column}: {_shown(cell)} is outside {bracket}{limits.low:g}, {limits.high:g}]"
            + (f" {limits.unit}" if limits.unit else "")
        )
    return value


def _limit(number: int, column: str, row: dict[str, str]) -> int:
    cell = row.get(f"{column}lim", "").strip()
    if cell in ("", "0", "0.0"):
        return 0
    if cell not in ("1", "-1", "1.0", "-1.0"):
        raise ValueError(f"row {number}, column {column}lim: the limit flag {_shown(cell)} is none of -1, 0, 1")
    return int(float(cell))


def _position(name: str) -> int:
    if name not in ARCHIVE_COLUMNS:
        raise ValueError(f"there is no column {name!r}; there are {', '.join(COLUMN_NAMES)}")
    return COLUMN_NAMES.index(name)


def _shown(text: str) -> str:
    """A piece of the file that fits in a line of a message."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")
