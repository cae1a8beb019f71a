"""Contrast of letters and lines with what they stand on, as WCAG 2.1 measures it (sections 1.4.3 and 1.4.11)."""

import re
from collections.abc import Mapping

import pytest

from audit.report.badge import COLOURS, PARTIAL
from audit.report.html.page import asset

LETTERS = 4.5
LINES = 3.0
ON = ("page", "panel")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def palette(scheme: str) -> Mapping[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", asset("page.css"), re.DOTALL)
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light if scheme == "light" else dark))


def rules() -> list[str]:
    without_palettes = re.sub(r":root \{.*?\}", "", asset("page.css"), flags=re.DOTALL)
    return re.findall(r"\{([^{}]*)\}", without_palettes)


def test_black_on_white_is_as_the_standard_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_both_schemes_have_every_colour() -> None:
    assert palette("light").keys() == palette("dark").keys()
    used = set(re.findall(r"var\(--([a-z-]+)\)", asset("page.css")))
    assert used == palette("light").keys()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_can_be_read_on_the_ground_of_their_own_rule_or_else_of_the_page(scheme: str) -> None:
    colours = palette(scheme)
    seen = 0
    for rule in rules():
        letters = re.search(r"(?<![\w-])color: var\(--([a-z-]+)\)", rule)
        ground = re.search(r"background: var\(--([a-z-]+)\)", rule)
        if letters:
            for name in [ground[1]] if ground else ON:
                assert contrast(colours[letters[1]], colours[name]) >= LETTERS, (letters[1], name)
                seen += 1
    assert seen > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_of_plots_edges_of_controls_and_focus_can_be_seen(scheme: str) -> None:
    colours = palette(scheme)
    lines = set(re.findall(r"(?:stroke|fill): var\(--([a-z-]+)\)", asset("page.css"))) - {"rule"}  # which only helps
    for name in {*lines, "edge", "link"}:
        assert contrast(colours[name], colours["page"]) >= LINES, name


@pytest.mark.parametrize("colour", sorted({*COLOURS.values(), PARTIAL, "#24292f"}))
def test_the_badges_letters_can_be_read(colour: str) -> None:
    assert contrast("#ffffff", colour) >= LETTERS
