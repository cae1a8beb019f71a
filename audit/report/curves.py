"""Curves of the evidence as lines of blocks, for a terminal and for Markdown."""

import math
from collections.abc import Iterator, Sequence

from audit.report.document import Report
from audit.report.text import cell_code, number, one_line
from audit.results import Outcome, Result, Series

WIDTH = 48
_BLOCKS = "▁▂▃▄▅▆▇█"
_NOT_FINITE = "x"
_TRAINING = "train."
_DRAWN = ("loss", "validation loss")  # series whose names begin so


def spark_line(series: Series, *, width: int = WIDTH) -> str:
    """Return the curve as at most `width` blocks from the lowest to the highest value; `x` where it is not finite.

    Where there are more values than blocks, a block is the mean of those that fall into it.
    """
    values = [float(value) for value in series.y]
    count = min(width, len(values))
    parts = [values[index * len(values) // count : (index + 1) * len(values) // count] for index in range(count)]
    means = [math.fsum(part) / len(part) if all(map(math.isfinite, part)) else math.nan for part in parts]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join(_block(mean, low, high) for mean in means)


def _block(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return _NOT_FINITE
    share = (value - low) / (high - low) if high > low else 0.0
    return _BLOCKS[min(int(share * len(_BLOCKS)), len(_BLOCKS) - 1)]


def drawn(report: Report) -> Iterator[tuple[Result, Series]]:
    """Yield the loss curves of a report: of each subject one by each name, of its training where there is one."""
    curves = [
        (result, series, (result.subject.kind.value, result.subject.name, series.name))
        for result in report.results
        for series in result.evidence.series
        if series.name.startswith(_DRAWN) and series.y
    ]
    trained = {key for result, _, key in curves if result.check.startswith(_TRAINING)}
    seen: set[tuple[str, str, str]] = set()
    for result, series, key in curves:
        if key not in seen and (key not in trained or result.check.startswith(_TRAINING)):
            seen.add(key)
            yield result, series


def curve_lines(report: Report) -> list[str]:
    """Return a line for each curve: subject, name, blocks, first and last value, and what is counted.

    Of passes only those of trainings are drawn: the others are many, and hide what matters.
    """
    rows = [
        (result, series)
        for result, series in drawn(report)
        if result.check.startswith(_TRAINING) or result.outcome is not Outcome.PASSED
    ]
    subject_width = max((len(one_line(result.subject.name, 40)) for result, _ in rows), default=0)
    name_width = max((len(one_line(series.name, 40)) for _, series in rows), default=0)
    return [
        f"{one_line(result.subject.name, 40):{subject_width}}  {one_line(series.name, 40):{name_width}}  "
        f"{spark_line(series)}  {_ends(series)}"
        for result, series in rows
    ]


def curves_section(report: Report) -> str:
    """Return the curves as a table; nothing where there are none."""
    rows = [
        f"| {cell_code(result.subject.name)} | {cell_code(series.name)} | {cell_code(spark_line(series))} | "
        f"{cell_code(_ends(series))} |"
        for result, series in drawn(report)
    ]
    if not rows:
        return ""
    note = "From the lowest to the highest value of each curve; x is not finite. The values are in the JSON."
    return "\n".join(["## Curves", "", note, "", "| subject | curve | | from, to |", "|---|---|---|---|", *rows])


def _ends(series: Series) -> str:
    """Return the first and the last value, and at which places they are."""
    values: Sequence[float] = [float(value) for value in series.y]
    return (
        f"{number(values[0])} to {number(values[-1])}, {one_line(series.x_name, 20)} {series.x[0]:g} to "
        f"{series.x[-1]:g}"
    )
