"""The Python code of a Jupyter notebook, as a text whose lines are those of the notebook's file.

Jupyter writes each line of a cell on a line of its own. In the text a line of code has the number that it has in the
file, and every other line is blank, so that a place in the text is a place that an editor, a diff and an annotation
can show; columns are those of the code. Where a notebook is stored otherwise (all on one line, or a cell as one
string), no such text exists: then its cells follow each other, one blank line between them.
"""

import json
import json.scanner
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from audit.static.literals import parses

SUFFIX = ".ipynb"
# Jupyter keeps outputs in the file: pictures and tables of tens of megabytes. Reading takes about four times the size.
MAX_BYTES = 32 * 1024 * 1024

_PYTHON = re.compile(r"i?python\d*", re.IGNORECASE)
_CELL_OF_PYTHON = re.compile(r"%%(?:time|timeit|capture|prun)\b")
_MAGIC = re.compile(r"\s*(?:[%!?]|[\w.]+\?{1,2}\s*$)")
_ASSIGNED = re.compile(r"(\s*[\w., \[\]'\"]+=\s*)[%!].*")


class NotebookError(Exception):
    """Why there is no code in it, and on which line."""

    def __init__(self, reason: str, *, line: int | None = None) -> None:
        """Carry the reason."""
        super().__init__(reason)
        self.reason = reason
        self.line = line


class _Placed(str):
    """A string of the document, with where it begins."""

    offset: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One code cell: its number among all cells, counted from 1, and its lines with the line of the file of each."""

    number: int
    lines: tuple[tuple[int, str], ...]


def code_of(text: str) -> str:
    """Return the code of the notebook with this text; magics (`%`, `!`, `?`) are blank. Empty where it has no Python.

    Raises:
        NotebookError: it is not JSON, not a notebook, or of a format before 4.
    """
    cells = cells_of(text)
    codes = [_without_magics([line for _, line in cell.lines]) for cell in cells]
    if not _has_lines_of_its_own(cells):
        return "\n".join(f"{code}\n" for code in codes)
    placed: dict[int, str] = {}
    for cell, code in zip(cells, codes, strict=True):
        placed.update(zip((number for number, _ in cell.lines), code.split("\n"), strict=bool(cell.lines)))
    return "\n".join(placed.get(number, "") for number in range(1, max(placed, default=0) + 1)) + "\n"


def _has_lines_of_its_own(cells: Iterable[Cell]) -> bool:
    """Whether no two lines of code stand on one line of the file."""
    numbers = [number for cell in cells for number, _ in cell.lines]
    return len(set(numbers)) == len(numbers)


def cells_of(text: str) -> list[Cell]:
    """Return the code cells of the notebook with this text; none where its language is not Python.

    Raises:
        NotebookError: as `code_of`.
    """
    document = _document(text)
    if not _is_python(document):
        return []
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    cells = []
    for number, cell in enumerate(_cells(document), start=1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            cells.append(Cell(number, tuple(_lines(cell.get("source"), starts))))
    return cells


@dataclass(frozen=True, slots=True)
class CellPlace:
    """A line of a cell: the cell's number among all cells and the line in it, both counted from 1."""

    cell: int
    line: int

    def __str__(self) -> str:
        """Return the place as messages name it."""
        return f"cell {self.cell}, line {self.line}"


@dataclass(frozen=True, slots=True)
class Places:
    """Where the lines of `code_of` come from; `are_of_file` where they have the numbers that they have in the file."""

    by_line: Mapping[int, CellPlace]
    are_of_file: bool


def places_in(text: str) -> Places:
    """Return where the lines of `code_of(text)` come from.

    Raises:
        NotebookError: as `code_of`.
    """
    cells = cells_of(text)
    are_of_file = _has_lines_of_its_own(cells)
    found: dict[int, CellPlace] = {}
    before = 0
    for cell in cells:
        for position, (number, _) in enumerate(cell.lines, start=1):
            found[number if are_of_file else before + position] = CellPlace(cell.number, position)
        before += max(len(cell.lines), 1) + 1
    return Places(found, are_of_file)


def place_in(text: str, line: int) -> str | None:
    """Return the cell and the line in it that a line of `code_of(text)` comes from; None where that is blank.

    Raises:
        NotebookError: as `code_of`.
    """
    found = places_in(text).by_line.get(line)
    return str(found) if found else None


def _document(text: str) -> Mapping[str, object]:
    decoder: Any = json.JSONDecoder()  # what it is put together from is not in its type
    scan: Callable[..., tuple[str, int]] = decoder.parse_string

    def placed(string: str, end: int, strict: bool = True) -> tuple[str, int]:
        value, after = scan(string, end, strict)
        found = _Placed(value)
        found.offset = end
        return found, after

    decoder.parse_string = placed
    decoder.scan_once = cast("Any", json.scanner).py_make_scanner(decoder)
    try:
        document = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise NotebookError(f"not a notebook: no JSON ({error.msg})", line=error.lineno) from error
    except (RecursionError, ValueError) as error:  # a number of too many digits is a ValueError
        raise NotebookError(f"not a notebook: no JSON that can be read ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise NotebookError("not a notebook: no JSON object")
    version = document.get("nbformat")
    if isinstance(version, int) and version < 4:
        raise NotebookError(f"a notebook of format {version}, which is not read; convert it to format 4")
    return document


def _cells(document: Mapping[str, object]) -> list[object]:
    cells = document.get("cells")
    if not isinstance(cells, list):
        raise NotebookError("not a notebook: it has no list of cells")
    return cells


def _is_python(document: Mapping[str, object]) -> bool:
    """Whether the notebook says that it is in Python, or says nothing."""
    metadata = document.get("metadata")
    for part, key in (("language_info", "name"), ("kernelspec", "language")):
        about = metadata.get(part) if isinstance(metadata, dict) else None
        language = about.get(key) if isinstance(about, dict) else None
        if isinstance(language, str):
            return _PYTHON.fullmatch(language) is not None
    return True


def _lines(source: object, starts: list[int]) -> Iterator[tuple[int, str]]:
    parts = source if isinstance(source, list) else [source]
    for part in parts:
        if isinstance(part, _Placed):
            number = bisect_right(starts, part.offset)
            for line in part.removesuffix("\n").split("\n"):
                yield number, str(line).replace("\r", "")


def _without_magics(lines: list[str]) -> str:
    """Return the code of a cell; lines that only IPython takes are blank, or `pass` where a block may need one."""
    code = "\n".join(lines)
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") and not _CELL_OF_PYTHON.match(first):
        return "\n" * (len(lines) - 1)
    if parses(code):
        return code
    kept: list[str] = []
    continued = False
    for line in lines:
        if continued or _MAGIC.match(line):
            indent = line[: len(line) - len(line.lstrip())]
            kept.append(f"{indent}pass" if indent and not continued else "")
            continued = line.rstrip().endswith("\\")
        elif assigned := _ASSIGNED.fullmatch(line):
            kept.append(f"{assigned[1]}None")
        else:
            kept.append(line)
    return "\n".join(kept)
