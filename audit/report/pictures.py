"""Tables of numbers as pictures: text blocks for a terminal, SVG for a page.

Fuller is larger, against the largest of the row. Both say the same without colour: blocks differ in how much of a cell
they fill, and in SVG every cell carries its number as a title.
"""

import textwrap
from collections.abc import Sequence
from html import escape
from itertools import zip_longest

from audit.report.text import one_line
from audit.results import Picture

_BLOCKS = " ·░▒▓█"
_LEGEND = "rows are queries, columns keys; blank is none, a block the most in its row"
_NOTHING = 1e-4  # of the largest in its row
_CELL = 14  # of an SVG, in its own units
_GAP = 40
_TOP = 34
_MOST = 32  # queries or keys that are drawn
Matrix = Sequence[Sequence[float]]


def text_picture(picture: Picture, *, width: int = 80) -> list[str]:
    """Return both tables as lines of at most `width` characters: side by side, or one below the other.

    A row is a query, a column a key. A cell is blank where there is nothing, and a dot where there is next to nothing.
    """
    observed, expected = _blocks(picture.observed), _blocks(picture.expected)
    columns = max((len(line) for line in observed), default=0)
    heads = ("observed", "expected")
    column = max(columns, len(heads[0])) + 3
    if column + max(columns, len(heads[1])) <= width:
        pairs = zip_longest([heads[0], *observed], [heads[1], *expected], fillvalue="")
        lines = [f"{left:<{column}}{right}" for left, right in pairs]
    else:
        lines = [line[:width] for line in (heads[0], *observed, heads[1], *expected)]
    return [line.rstrip() for line in lines] + textwrap.wrap(_LEGEND, width)


def _blocks(matrix: Matrix) -> list[str]:
    """Return a line for each row, in which the largest number is a whole block."""
    return ["|" + "".join(_block(share) * 2 for share in _shares(row)) + "|" for row in matrix[:_MOST]]


def _shares(row: Sequence[float]) -> list[float]:
    largest = max((abs(value) for value in row), default=0.0) or 1.0
    return [abs(value) / largest for value in row[:_MOST]]


def _block(share: float) -> str:
    if share <= _NOTHING:
        return _BLOCKS[0]
    return _BLOCKS[min(int(share * (len(_BLOCKS) - 1) + 1), len(_BLOCKS) - 1)]


def svg_picture(picture: Picture) -> str:
    """Return both tables as one SVG element, which needs nothing else and is read in light and dark."""
    observed, expected = (_cut(each) for each in (picture.observed, picture.expected))
    columns = max((len(row) for row in (*observed, *expected)), default=0)
    rows = max(len(observed), len(expected))
    shift = max(columns * _CELL, 60) + _GAP
    width, height = shift + max(columns * _CELL, 60), _TOP + rows * _CELL
    spoken = escape(one_line(f"{picture.title}; {picture.of}", limit=None))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" style="color:CanvasText;background:Canvas;color-scheme:light dark">',
        f"<title>{spoken}</title>",
    ]
    for name, matrix, left in (("observed", observed, 0), ("expected", expected, shift)):
        parts.append(
            f'<text x="{left}" y="14" font-family="monospace" font-size="12" fill="currentColor">{name}</text>'
        )
        parts += _cells(matrix, left)
    return "\n".join([*parts, "</svg>"])


def _cut(matrix: Matrix) -> list[Sequence[float]]:
    return [row[:_MOST] for row in matrix[:_MOST]]


def _cells(matrix: Matrix, left: int) -> list[str]:
    cells = []
    for query, row in enumerate(matrix):
        for key, (value, share) in enumerate(zip(row, _shares(row), strict=True)):
            x, y = left + key * _CELL, _TOP - _CELL + query * _CELL
            cells.append(
                f'<rect x="{x}" y="{y}" width="{_CELL - 1}" height="{_CELL - 1}" fill="currentColor" '
                f'fill-opacity="{max(share, 0.04):.3f}"><title>query {query}, key {key}: {value:.4g}'
                "</title></rect>"
            )
    return cells
