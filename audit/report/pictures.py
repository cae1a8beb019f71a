"""Tables of numbers as pictures: text blocks for a terminal, SVG for a page.

Fuller is larger, against the largest of the row. Both say the same without colour: blocks differ in how much of a cell
they fill, and in SVG every cell carries its number as a title.
"""

import math
import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from audit.report.html.markup import Html, tag, text
from audit.report.text import one_line
from audit.results import Picture

_BLOCKS = " ·░▒▓█"
_NOT_FINITE = "x"
_WEIGHTS = "observed: weights"
_LEGEND = "rows: queries, columns: keys; blank: none, full: the most of its row"
NOTHING = 1e-4  # of the largest in its row: a blank
STEPS = len(_BLOCKS) - 1  # of what is more than nothing
_CELL = 14  # of an SVG, in its own units
_GAP = 40
_TOP = 34
_ALONE = "color:CanvasText;background:Canvas;color-scheme:light dark"
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
    # Weights speak for themselves; of anything else a blank cell need not mean that nothing is attended to.
    legend = _LEGEND if picture.of.startswith(_WEIGHTS) else f"{_LEGEND}; {picture.of}"
    return [line.rstrip() for line in lines] + textwrap.wrap(legend, width)


def _blocks(matrix: Matrix) -> list[str]:
    """Return a line for each row, in which the largest number is a whole block."""
    return ["|" + "".join(_block(share) * 2 for share in _shares(row)) + "|" for row in matrix[:_MOST]]


def _shares(row: Sequence[float]) -> list[float]:
    """Return each number as a share of the largest that is finite; one that is not finite is NaN."""
    largest = max((abs(value) for value in row if math.isfinite(value)), default=0.0) or 1.0
    return [abs(value) / largest if math.isfinite(value) else math.nan for value in row[:_MOST]]


def _block(share: float) -> str:
    if math.isnan(share):
        return _NOT_FINITE
    if share <= NOTHING:
        return _BLOCKS[0]
    return _BLOCKS[min(int(share * STEPS) + 1, STEPS)]


def svg_picture(picture: Picture, *, alone: bool = True) -> Html:
    """Return both tables as one SVG element, which needs nothing else and is read in light and dark.

    One that does not stand `alone` takes its colours from the page around it.
    """
    observed, expected = (_cut(each) for each in (picture.observed, picture.expected))
    columns = max((len(row) for row in (*observed, *expected)), default=0)
    rows = max(len(observed), len(expected))
    shift = max(columns * _CELL, 60) + _GAP
    width, height = shift + max(columns * _CELL, 60), _TOP + rows * _CELL
    parts = [tag("title", text(one_line(f"{picture.title}; {picture.of}", limit=None)))]
    for name, matrix, left in (("observed", observed, 0), ("expected", expected, shift)):
        parts.append(tag("text", text(name), x=str(left), y="14", font_family="monospace", font_size="12",
                         fill="currentColor"))  # fmt: skip
        # In a page the title and the caption are read out, and not hundreds of numbers; a pointer still finds them.
        cells = _cells(matrix, left)
        parts += cells if alone else [tag("g", *cells, aria_hidden="true")]
    own = {"xmlns": "http://www.w3.org/2000/svg", "style": _ALONE} if alone else {}
    box = f"0 0 {width} {height}"
    return tag("svg", *parts, role="img", viewBox=box, width=str(width), height=str(height), **own)


def _cut(matrix: Matrix) -> list[Sequence[float]]:
    return [row[:_MOST] for row in matrix[:_MOST]]


def _cells(matrix: Matrix, left: int) -> list[Html]:
    cells = []
    for query, row in enumerate(matrix):
        for key, (value, share) in enumerate(zip(row, _shares(row), strict=True)):
            x, y = left + key * _CELL, _TOP - _CELL + query * _CELL
            said = tag("title", text(f"query {query}, key {key}: {value:.4g}"))
            place = {"x": str(x), "y": str(y), "width": str(_CELL - 1), "height": str(_CELL - 1)}
            if math.isnan(share):
                cells.append(tag("rect", said, **place, fill="none", stroke="currentColor", stroke_dasharray="2"))
            else:
                cells.append(tag("rect", said, **place, fill="currentColor", fill_opacity=f"{max(share, 0.04):.3f}"))
    return cells
