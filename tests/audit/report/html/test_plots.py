import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from audit.report.html.plots import HEIGHT, WIDTH, Axes, Line, line_plot

Read = Callable[[str], Any]
AXES = Axes(x="step", y="nats")


def line(*values: float, name: str = "loss") -> Line:
    return Line(name, tuple((float(place), value) for place, value in enumerate(values)))


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](\S+?) (-?[\d.]+)", path)]


def drawn(read: Read, *lines: Line, axes: Axes = AXES) -> list[Any]:
    """Return the paths of the lines, without the samples of the legend."""
    figure = read(line_plot("net", lines, axes))
    return [each for each in figure.all("path") if "line" in (each.attributes["class"] or "")]


def test_the_highest_is_at_the_top_and_the_last_at_the_right(read: Read) -> None:
    (path,) = drawn(read, line(4.0, 2.0, 0.0))
    (x0, y0), (x1, y1), (x2, y2) = points(path.attributes["d"])
    assert y0 < y1 < y2
    assert x0 < x1 < x2
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.11)  # places are written with one digit


@pytest.mark.parametrize(
    "values",
    [(0.0,), (1e308, -1e308), (1e-320, 0.0), (5.0, 5.0), (math.inf,), (math.nan, math.nan), (0.0, math.inf, 1.0)],
)
def test_everything_drawn_is_in_the_picture(read: Read, values: tuple[float, ...]) -> None:
    page = line_plot("net", [line(*values)], AXES)
    assert "nan" not in "".join(each.attributes["d"] for each in read(page).all("path"))
    for each in drawn(read, line(*values)):
        for x, y in points(each.attributes["d"]):
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_what_is_not_finite_is_a_gap_with_a_cross_and_is_counted(read: Read) -> None:
    figure = read(line_plot("net", [line(1.0, 2.0, math.nan, 3.0, 4.0)], AXES))
    (path,) = (each for each in figure.all("path") if each.has({"class": "line"}))
    assert path.attributes["d"].count("M") == 2
    assert len(figure.all("path", class_="cross")) == 1
    assert "1 value not finite" in figure.one("title").text


def test_a_curve_that_is_never_finite_says_so(read: Read) -> None:
    figure = read(line_plot("net", [line(math.inf, math.nan)], AXES))
    assert "never finite" in figure.one("title").text
    assert len(figure.all("path", class_="cross")) == 2


def test_of_many_values_the_peak_is_kept_and_the_picture_stays_small(read: Read) -> None:
    values = [1.0] * 20_000
    values[12_345] = 9.0
    (path,) = drawn(read, line(*values))
    places = points(path.attributes["d"])
    assert len(places) <= 900
    heights = [y for _, y in places]
    assert heights.count(min(heights)) == 1


def test_lines_differ_in_more_than_colour_and_are_named(read: Read) -> None:
    figure = read(line_plot("net", [line(1.0, 2.0), line(2.0, 3.0, name="validation loss")], AXES))
    classes = [each.attributes["class"] for each in figure.all("path", class_="line")]
    assert classes == ["line s0", "line s1"]
    assert [each.text for each in figure.all("li")] == [
        "loss: 1 to 2",
        "validation loss: 2 to 3",
    ]
    assert "loss: 1 to 2, step 0 to 1, between 1 and 2. validation loss: 2 to 3" in figure.one("title").text


def test_equal_ratios_are_equal_distances_where_asked_for(read: Read) -> None:
    lengths = Line("sdpa", ((256.0, 1.0), (512.0, 2.0), (1024.0, 3.0)))
    (path,) = drawn(read, lengths, axes=Axes(x="tokens", y="TFLOP/s", doubling=True, from_zero=True))
    (x0, _), (x1, y1), (x2, _) = points(path.attributes["d"])
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y1 < HEIGHT - 34


def test_a_place_that_is_none_is_left_out(read: Read) -> None:
    gone = Line("loss", ((math.inf, 1.0), (0.0, 2.0)))
    assert len(points(drawn(read, gone)[0].attributes["d"])) == 1
    assert "nothing to draw" in line_plot("net", [gone], Axes(x="x", y="y", doubling=True))
    assert "nothing to draw" in line_plot("net", [Line("empty", ())], AXES)


def test_a_hostile_name_is_text(read: Read, hostile: str) -> None:
    figure = read(line_plot(hostile, [line(1.0, 2.0, name=hostile)], Axes(x=hostile, y=hostile)))
    assert {each.name for each in figure.walk()} <= {
        "figure", "svg", "title", "path", "text", "circle", "figcaption", "strong", "ul", "li", "line",
    }  # fmt: skip
