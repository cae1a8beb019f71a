"""The verdict with its coverage as a small picture, for a README."""

from audit.report.document import Report
from audit.report.html.markup import Html, tag, text
from audit.report.text import percent
from audit.report.verdicts import verdict_lines, verdict_text
from audit.score import Verdict

_HEIGHT = 20
_CHARACTER = 6.6  # width of one at this size, on average; `textLength` makes it so in every typeface
_PADDING = 8
# Each is dark enough for white letters: a contrast of 4.5 at least, which a test measures.
COLOURS = {
    Verdict.READY: "#116329",
    Verdict.READY_WITH_WAIVERS: "#116329",
    Verdict.CLEAN: "#116329",
    Verdict.INCOMPLETE: "#7d4e00",
    Verdict.NOT_READY: "#a40e26",
    Verdict.FINDINGS: "#a40e26",
}
PARTIAL = "#57606a"
_LABEL_BACK = "#24292f"
_LETTERS = "#ffffff"


def render_badge(report: Report) -> str:
    """Return an SVG document. Verdict and coverage are told together: neither is worth anything without the other."""
    verdict = "partial run" if report.verdict is None else verdict_text(report)
    colour = PARTIAL if report.verdict is None else COLOURS[report.verdict]
    value = f"{verdict}, coverage {percent(report.coverage)}"
    left, right = _width(report.command), _width(value)
    said = f"{report.command}: {value}"
    svg = tag(
        "svg",
        tag("title", text(said)),
        *(tag("desc", text(line)) for line in verdict_lines(report)),
        tag("rect", width=f"{left:g}", height=str(_HEIGHT), fill=_LABEL_BACK),
        tag("rect", x=f"{left:g}", width=f"{right:g}", height=str(_HEIGHT), fill=colour),
        _letters(report.command, at=0, width=left),
        _letters(value, at=left, width=right),
        xmlns="http://www.w3.org/2000/svg",
        width=f"{left + right:g}",
        height=str(_HEIGHT),
        role="img",
        aria_label=said,
    )
    return f"{svg}\n"


def _width(words: str) -> float:
    return round(len(words) * _CHARACTER + 2 * _PADDING)


def _letters(words: str, *, at: float, width: float) -> Html:
    return tag(
        "text",
        text(words),
        x=f"{at + width / 2:g}",
        y="14",
        fill=_LETTERS,
        text_anchor="middle",
        textLength=f"{width - 2 * _PADDING:g}",
        font_family="Verdana,DejaVu Sans,sans-serif",
        font_size="11",
    )
