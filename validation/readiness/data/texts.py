"""Tables and JSON, read line by line up to a limit."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from audit.stopping import stop_if_wanted
from validation.readiness.checkpoints.forms import MIB, Malformed, NotRead

MAX_TEXT_BYTES = 512 * MIB  # of a table or of JSON lines; at some 50 MB a second
MAX_JSON_BYTES = 32 * MIB  # of one JSON value, which takes up to twenty times that when it is read
MAX_LINE_BYTES = 16 * MIB
_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_ROWS = 50
_STOP_EVERY = 100_000  # lines


class MalformedAt(Malformed):
    """What is malformed begins on a line."""

    def __init__(self, line: int, reason: str) -> None:
        """Keep the line."""
        super().__init__(reason)
        self.line = line


def look_at_csv(file: BinaryIO, size: int) -> None:
    """Judge a table; its delimiter is the one that divides its first rows the most evenly."""
    encoding = _encoding(file)
    rows = list(_first_rows(file, encoding))
    _look_at_table(file, size, encoding, _delimiter(rows))


def look_at_tsv(file: BinaryIO, size: int) -> None:
    """Judge a table with tabs."""
    _look_at_table(file, size, _encoding(file), "\t")


def look_at_json(file: BinaryIO, size: int) -> None:
    """Judge one JSON value."""
    if size > MAX_JSON_BYTES:
        raise NotRead(f"it has more than the {MAX_JSON_BYTES} bytes of JSON that are read")
    _parsed(file.read(), 0)


def look_at_jsonl(file: BinaryIO, size: int) -> None:
    """Judge one JSON value in each line; blank lines are none."""
    for number, line in _lines(file, size):
        if line.strip():
            _parsed(line, number)


def _parsed(content: bytes, line: int) -> None:
    try:
        json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as problem:
        raise MalformedAt(line, f"not UTF-8 at byte {problem.start}") from problem
    except json.JSONDecodeError as problem:
        place = line or problem.lineno
        raise MalformedAt(place, f"no JSON: {problem.msg}") from problem
    except (ValueError, RecursionError) as problem:  # a number of too many digits; too deep a nesting
        raise NotRead(f"JSON that Python does not read: {type(problem).__name__}") from problem


def _lines(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers."""
    if size > MAX_TEXT_BYTES:
        raise NotRead(f"it has more than the {MAX_TEXT_BYTES} bytes that are read of a text")
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES:
            raise NotRead(f"line {number} has more than {MAX_LINE_BYTES} bytes")
        if number % _STOP_EVERY == 0:
            stop_if_wanted()
        yield number, line


def _encoding(file: BinaryIO) -> str:
    head = file.read(4096)
    file.seek(0)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NotRead("a table in UTF-16")
    if b"\0" in head:
        raise Malformed("a text with null bytes: it is no table")
    return "utf-8-sig"


def _first_rows(file: BinaryIO, encoding: str) -> Iterator[str]:
    found = 0
    for _ in range(_SAMPLE_ROWS * 4):
        line = file.readline(MAX_LINE_BYTES).decode(encoding, "replace")
        if line.strip() and not line.startswith("#"):
            yield line
            found += 1
        if not line or found == _SAMPLE_ROWS:
            break
    file.seek(0)


def _delimiter(rows: list[str]) -> str:
    """Return the delimiter for which most of the rows have as many fields as the first, of those the most fields."""

    def evenness(delimiter: str) -> tuple[float, int]:
        counts = [len(row) for row in csv.reader(rows, delimiter=delimiter)]
        if not counts or counts[0] < 2:
            return (0.0, 0)
        return (Counter(counts)[counts[0]] / len(counts), counts[0])

    try:
        return max(_DELIMITERS, key=evenness)
    except csv.Error as problem:
        raise NotRead(f"a table that Python's csv does not read: {problem}") from problem


def _look_at_table(file: BinaryIO, size: int, encoding: str, delimiter: str) -> None:
    header = 0
    widths: Counter[int] = Counter()
    ragged: tuple[int, int] | None = None
    begun: list[int] = []
    last: list[str] = []
    reader = csv.reader(_decoded(file, size, encoding, begun), delimiter=delimiter)
    try:
        for row in reader:
            line, begun[:] = (begun or [reader.line_num])[0], []
            if not row or row[0].lstrip().startswith("#") or not any(row):
                continue
            last = row
            width = len(row) - (len(row) > header > 0 and row[-1] == "")  # a delimiter at the end of each row
            header = header or width
            widths[width] += 1
            if width != header and ragged is None:
                ragged = (line, width)
    except csv.Error as problem:
        raise NotRead(f"a table that Python's csv does not read: {problem}") from problem
    if last and "\n" in last[-1]:
        raise MalformedAt(reader.line_num, "the table ends within a quoted field: it was cut off")
    rows = widths.total()
    # R writes a column of names that the header has no field for.
    if ragged is None or (widths[header] == 1 and widths[header + 1] == rows - 1 and rows > 2):
        return
    line, width = ragged
    wrong = rows - widths[header]
    raise MalformedAt(line, f"a row of {width} fields in a table of {header}; such rows: {wrong} of {rows}")


def _decoded(file: BinaryIO, size: int, encoding: str, begun: list[int]) -> Iterator[str]:
    """Yield the lines as texts; the number of the first line of a row is put into `begun`."""
    for number, line in _lines(file, size):
        if not begun:
            begun.append(number)
        try:
            yield line.decode(encoding)
        except UnicodeDecodeError:
            yield line.decode("latin-1")  # what spreadsheets of Western Europe write
