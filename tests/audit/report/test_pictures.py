import math
import xml.etree.ElementTree as ElementTree

import pytest

from audit.report.pictures import svg_picture, text_picture
from audit.results import Picture

LOWER = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.3, 0.3, 0.4))
FULL = ((0.3, 0.3, 0.4), (0.3, 0.3, 0.4), (0.3, 0.3, 0.4))


def picture(observed: tuple[tuple[float, ...], ...] = FULL, title: str = "attention of zoo") -> Picture:
    return Picture(title=title, observed=observed, expected=LOWER, of="weights")


def test_text_shows_both_tables_side_by_side() -> None:
    lines = text_picture(picture())
    assert lines[0].split() == ["observed", "expected"]
    assert lines[1] == "|██████|   |██    |" or lines[1].endswith("|██    |")
    assert len(lines) == 1 + 3 + 1


def test_what_is_not_attended_to_is_blank_and_little_is_a_dot() -> None:
    lines = text_picture(picture(((1.0, 1e-3, 0.0),)))
    assert "|██··  |" in lines[1]


@pytest.mark.parametrize("width", [8, 20, 40, 80])
def test_no_line_is_wider_than_asked_for(width: int) -> None:
    wide = tuple(tuple(1.0 for _ in range(30)) for _ in range(3))
    assert all(len(line) <= width for line in text_picture(picture(wide), width=width))


def test_what_is_not_finite_is_marked_and_the_rest_is_measured_against_what_is() -> None:
    lost = picture(((math.nan, 1.0, math.inf), (0.0, 0.5, 0.5), (math.nan, math.nan, math.nan)))
    lines = text_picture(lost)
    assert [line.split("|")[1] for line in lines[1:4]] == ["xx██xx", "  ████", "xxxxxx"]
    cells = ElementTree.fromstring(svg_picture(lost)).findall("{http://www.w3.org/2000/svg}rect")[:3]
    assert [cell.get("fill") for cell in cells] == ["none", "currentColor", "none"]
    assert cells[1].get("fill-opacity") == "1.000"


def test_in_a_page_it_has_no_style_of_its_own() -> None:
    root = ElementTree.fromstring(svg_picture(picture(), alone=False))
    assert "style" not in root.attrib


def test_svg_is_well_formed_whatever_the_title_and_has_a_cell_for_each_number() -> None:
    root = ElementTree.fromstring(svg_picture(picture(title='</title><script>alert(1)</script>"&')))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == 18
    assert root.find(f"{space}script") is None
    title = root.find(f"{space}title")
    assert title is not None
    assert title.text is not None
    assert "alert" in title.text


def test_svg_takes_its_colours_from_the_page() -> None:
    text = svg_picture(picture())
    assert "currentColor" in text
    assert "#" not in text.replace("http://www.w3.org/2000/svg", "")


def test_what_the_numbers_are_is_said_where_they_are_no_weights() -> None:
    influences = (
        "observed: change of each output when one key is replaced; expected: 1 where a key may have an influence"
    )
    others = [picture().model_copy(update={"of": of}) for of in ("observed: weights of the first head", influences)]
    plain, told = (" ".join(text_picture(each)) for each in others)
    assert influences in told
    assert "observed: " not in plain
