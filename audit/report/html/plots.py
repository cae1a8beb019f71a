"""Curves as SVG in a page: lines differ in dashes as well as in colour, and say in words what they show."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audit.report.html.markup import Html, joined, tag, text
from audit.report.text import counted, number, one_line
from audit.results import Series

WIDTH, HEIGHT = 420, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 12, 18, 34
_COLUMNS = 300  # of the picture, about a pixel each: more values than that are drawn as the span of each column
_STYLES = 6  # that the page's style tells apart
_MOST_PLACES = 7
_MARKED = 40  # points, up to which each has a mark
_TEXT = 40


@dataclass(frozen=True)
class Line:
    """Named places and values; a value that is not finite is marked at the upper edge."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Axes:
    """What is along the axes. `doubling`: equal distances are equal ratios; `from_zero`: values start at 0."""

    x: str
    y: str
    doubling: bool = False
    from_zero: bool = False


def line_of(series: Series) -> Line:
    """Return a series of evidence as a line."""
    return Line(series.name, tuple(zip(series.x, map(float, series.y), strict=True)))


def line_plot(title: str, lines: Sequence[Line], axes: Axes) -> Html:
    """Return a figure with its caption. Places that are not finite are left out, for they have none."""
    lines = [Line(each.name, tuple((x, y) for x, y in each.points if _has_place(x, axes))) for each in lines]
    lines = [each for each in lines if each.points]
    if not lines:
        return tag("figure", tag("figcaption", text(f"{title}: nothing to draw")), class_="plot")
    frame = _Frame.around(lines, axes)
    spoken = f"{title}. " + " ".join(_in_words(each, axes) for each in lines)
    svg = tag(
        "svg",
        tag("title", text(one_line(spoken, limit=None))),
        *frame.axes(axes),
        *(part for index, each in enumerate(lines) for part in frame.drawn(each, index)),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )
    named = [tag("li", _sample(index), text(one_line(_ends(each), 200))) for index, each in enumerate(lines)]
    caption = tag("figcaption", tag("strong", text(one_line(title))), tag("ul", joined(named)))
    return tag("figure", svg, caption, class_="plot")


def _has_place(x: float, axes: Axes) -> bool:
    return math.isfinite(x) and (x > 0 or not axes.doubling)


def _sample(index: int) -> Html:
    line = tag("line", x1="0", y1="5", x2="28", y2="5", class_=f"line s{index % _STYLES}")
    return tag("svg", line, viewBox="0 0 28 10", class_="sample", aria_hidden="true")


def _ends(line: Line) -> str:
    return f"{line.name}: {number(line.points[0][1])} to {number(line.points[-1][1])}"


def _in_words(line: Line, axes: Axes) -> str:
    finite = [y for _, y in line.points if math.isfinite(y)]
    lost = len(line.points) - len(finite)
    span = f"between {number(min(finite))} and {number(max(finite))}" if finite else "never finite"
    gone = f", {counted(lost, 'value')} not finite" if lost and finite else ""
    first, last = line.points[0][0], line.points[-1][0]
    return f"{_ends(line)}, {axes.x} {first:g} to {last:g}, {span}{gone}."


@dataclass(frozen=True)
class _Frame:
    """The span of both axes, and where in the picture a value lies."""

    left: float
    right: float
    low: float
    high: float
    doubling: bool
    marked: tuple[float, ...]  # places along the axis that have their number

    @classmethod
    def around(cls, lines: Sequence[Line], axes: Axes) -> "_Frame":
        xs = [_scaled(x, axes.doubling) for line in lines for x, _ in line.points]
        ys = [y for line in lines for _, y in line.points if math.isfinite(y)] or [0.0]
        low, high = (min(0.0, *ys) if axes.from_zero else min(ys)), max(ys)
        places = sorted({x for line in lines for x, _ in line.points})
        marked = places if axes.doubling and len(places) <= _MOST_PLACES else dict.fromkeys((places[0], places[-1]))
        return cls(min(xs), max(xs), low, high, axes.doubling, tuple(marked))

    def x(self, value: float) -> float:
        return _LEFT + _share(_scaled(value, self.doubling), self.left, self.right) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - _share(value, self.low, self.high) * (HEIGHT - _TOP - _BOTTOM)

    def axes(self, axes: Axes) -> Iterable[Html]:
        """Yield the frame with the numbers at its ends, and what is along the axes."""
        bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        yield tag("path", d=f"M{_LEFT} {_TOP}V{bottom}H{right}", class_="axis")
        yield tag("path", d=f"M{_LEFT} {_TOP}H{right}M{_LEFT} {(_TOP + bottom) / 2:g}H{right}", class_="grid")
        for value in dict.fromkeys((self.low, self.low / 2 + self.high / 2, self.high)):
            yield _label(number(value), x=_LEFT - 6, y=self.y(value) + 4, anchor="end")
        for place in self.marked:
            anchor = "start" if place == self.marked[0] else "end" if place == self.marked[-1] else "middle"
            yield _label(f"{place:g}", x=self.x(place), y=bottom + 14, anchor=anchor)
        yield _label(one_line(axes.x, _TEXT), x=(_LEFT + right) / 2, y=HEIGHT - 6, anchor="middle")
        yield _label(one_line(axes.y, _TEXT), x=_LEFT, y=_TOP - 6, anchor="start")

    def drawn(self, line: Line, index: int) -> Iterable[Html]:
        """Yield a line: broken where a value is not finite, with a cross there at the upper edge."""
        style = f"s{index % _STYLES}"
        path, is_up = [], True
        for x, y in _thinned(line.points):
            if math.isfinite(y):
                path.append(f"{'M' if is_up else 'L'}{self.x(x):.1f} {self.y(y):.1f}")
            is_up = not math.isfinite(y)
        if path:
            yield tag("path", d="".join(path), class_=f"line {style}")
        if len(line.points) <= _MARKED:
            for x, y in line.points:
                if math.isfinite(y):
                    yield tag("circle", cx=f"{self.x(x):.1f}", cy=f"{self.y(y):.1f}", r="2", class_=f"dot {style}")
        crosses = dict.fromkeys(f"{self.x(x):.0f}" for x, y in line.points if not math.isfinite(y))
        for x_text in crosses:
            yield tag("path", d=f"M{x_text} {_TOP}m-4 -4l8 8m0 -8l-8 8", class_="cross")


def _scaled(value: float, doubling: bool) -> float:
    return math.log2(value) if doubling else value


def _share(value: float, low: float, high: float) -> float:
    """Return where between two values a third lies; in the middle where the two are one.

    Halved before anything is subtracted: the distance of two floats can be too large for one.
    """
    width = high / 2 - low / 2
    return (value / 2 - low / 2) / width if width > 0 else 0.5


def _label(words: str, *, x: float, y: float, anchor: str) -> Html:
    return tag("text", text(words), x=f"{x:g}", y=f"{y:.1f}", text_anchor=anchor)


def _thinned(points: Sequence[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """Yield the points; of more than can be told apart, the lowest, the highest and one not finite of each column."""
    if len(points) <= 2 * _COLUMNS:
        yield from points
        return
    for column in range(_COLUMNS):
        part = points[column * len(points) // _COLUMNS : (column + 1) * len(points) // _COLUMNS]
        finite = [each for each in part if math.isfinite(each[1])]
        kept = {min(finite, key=lambda each: each[1]), max(finite, key=lambda each: each[1])} if finite else set()
        lost = [each for each in part if not math.isfinite(each[1])][:1]
        yield from sorted([*kept, *lost], key=lambda each: each[0])
