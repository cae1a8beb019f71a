"""Speed and memory against length, as PNG and SVG; matplotlib comes with the extra `plots` and may be missing."""

import importlib
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from audit.report.files import WriteError
from validation.benchmark.cases import AttentionCase
from validation.benchmark.document import BenchmarkDocument
from validation.benchmark.rows import Row

MISSING = "no plots: matplotlib is not installed; the extra `plots` brings it"
_FORMATS = ("png", "svg")
_MOST_PANELS = 12
Value = Callable[[Row], float | None]


def write_plots(document: BenchmarkDocument, folder: Path) -> tuple[list[Path], str | None]:
    """Draw speed and memory; return the files, and why there are none or not all.

    Raises:
        WriteError: the disk does not take them.
    """
    try:
        pyplot: Any = importlib.import_module("matplotlib.figure")
        matplotlib: Any = importlib.import_module("matplotlib")
    except ImportError:
        return [], MISSING
    # Ids in an SVG are drawn at random otherwise, and the same benchmark would give another file each time.
    settings = {"svg.hashsalt": "astrobio-audit", "font.family": "DejaVu Sans"}
    panels = panels_of(document)
    if not panels:
        return [], "no plots: no backend has times at two lengths"
    shown = list(panels.items())[:_MOST_PANELS]
    with matplotlib.rc_context(settings):
        figures = {
            "bench-speed": _figure(pyplot, document, shown, "TFLOP/s", speed),
            "bench-memory": _figure(pyplot, document, shown, "peak memory of a call, MiB", memory),
        }
        written = [
            _saved(figure, folder / f"{name}.{form}", form) for name, figure in figures.items() for form in _FORMATS
        ]
    return written, f"{len(panels) - len(shown)} panels are not drawn" if len(panels) > len(shown) else None


def speed(row: Row) -> float | None:
    """Return TFLOP/s; None where they are not known."""
    return row.rates.tflops_per_s if row.rates else None


def memory(row: Row) -> float | None:
    """Return the peak memory of a call in MiB; None where it is not known."""
    return None if row.memory is None or row.memory.peak_bytes is None else row.memory.peak_bytes / 2**20


def panels_of(document: BenchmarkDocument) -> dict[str, dict[str, list[Row]]]:
    """Return rows with times by everything but the length, then by backend; panels with one length are left out."""
    panels: dict[str, dict[str, list[Row]]] = {}
    for row in document.rows:
        if isinstance(row.case, AttentionCase) and row.timing is not None:
            title = row.case.id.removeprefix("attention-").replace(f"-l{row.case.length}-", "-").replace("-", " ")
            panels.setdefault(title, {}).setdefault(row.backend.name, []).append(row)
    return {title: lines for title, lines in panels.items() if any(len(rows) > 1 for rows in lines.values())}


def _figure(
    pyplot: Any, document: BenchmarkDocument, panels: Sequence[tuple[str, dict[str, list[Row]]]], label: str,
    value: Value,
) -> Any:  # fmt: skip
    columns = min(len(panels), 3)
    lines = -(-len(panels) // columns)
    figure = pyplot.Figure(figsize=(5.5 * columns, 3.8 * lines), layout="constrained")
    figure.suptitle(f"{document.hardware.where}, torch {document.hardware.torch}", fontsize=10)
    for number, (title, by_backend) in enumerate(panels):
        axes = figure.add_subplot(lines, columns, number + 1)
        for backend, rows in by_backend.items():
            points = [(row.case.length, value(row)) for row in rows if isinstance(row.case, AttentionCase)]
            known = sorted((length, each) for length, each in points if each is not None)
            if known:
                axes.plot([x for x, _ in known], [y for _, y in known], marker="o", markersize=3, label=backend)
        lengths = sorted({row.case.length for rows in by_backend.values() for row in rows
                          if isinstance(row.case, AttentionCase)})  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_xticks(lengths, [str(length) for length in lengths])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("length, tokens")
        axes.set_ylabel(label)
        axes.set_title(title, fontsize=8)
        axes.grid(visible=True, alpha=0.3)
        if axes.lines:  # what a system does not tell, such as memory, has none
            axes.legend(fontsize=6)
    return figure


def _saved(figure: Any, path: Path, form: str) -> Path:
    drawn = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    figure.savefig(drawn, format=form, dpi=120, metadata=metadata)
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(drawn.getvalue())
            os.chmod(name, 0o644)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f"{path}: could not be written: {error.strerror or error}") from error
    return path
