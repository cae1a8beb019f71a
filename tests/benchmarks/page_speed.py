"""Measures how long a page of 10,000 results takes to open, filter and search, beside one of 100.

    python tests/benchmarks/page_speed.py [--results 10000] [--runs 5] [--report readiness.json]

The page itself measures: from when its address was entered until the first rows are there, and how long a search of
all results takes. Results are those of a report, repeated under other names, or made up. Nothing is asserted.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from audit.report.document import Report, build_report
from audit.report.html.report import render_html
from audit.report.publish import read_report

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FEW = 100
# Behind the page's own script: one search of all results, and what was measured, into the document.
SEARCH = """
const form = document.getElementById("filters");
form.elements.q.value = "mask digest 9";
form.dispatchEvent(new Event("submit"));
"""


def with_results(report: Report, number: int) -> Report:
    """Return a report with so many results: those of the given one, again and again under names of their own."""
    results = []
    for at in range(number):
        result = report.results[at % len(report.results)]
        turn = at // len(report.results)
        subject = result.subject
        named = subject.model_copy(update={"spec": f"{subject.name} {turn}"}) if turn else subject
        digest = f"sha256:{at:064x}"  # of its own for each, as for subjects that differ
        results.append(result.model_copy(update={"subject": named.model_copy(update={"digest": digest})}))
    used = {result.check for result in results}
    return build_report(
        command=report.command,
        provenance=report.provenance,
        checks=tuple(check for check in report.checks if check.id in used),
        results=results,
        release=report.release,
        partial_reason=None,
    )


def measured(program: str, page: str, folder: Path, runs: int) -> tuple[float, float]:
    """Return the median milliseconds until the rows were there, and of a search."""
    path = folder / "page.html"
    path.write_text(page)
    opened, searched = [], []
    for _ in range(runs):
        done = subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom",
             f"--user-data-dir={folder / 'profile'}", path.as_uri()],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, timeout=300,
        )  # fmt: skip
        (root,) = re.findall("<html[^>]*>", done.stdout)
        opened.append(float(re.findall('data-opened-ms="([^"]*)"', root)[0]))
        searched.append(float(re.findall('data-filtered-ms="([^"]*)"', root)[0]))
    return statistics.median(opened), statistics.median(searched)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--report", type=Path, default=ROOT / "reports" / "readiness.json")
    arguments = parser.parse_args()
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit("no Chromium: install one (Debian: apt-get install chromium)")
    report = read_report(arguments.report)
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for number in (FEW, arguments.results):
            made = with_results(report, number)
            start = time.process_time()
            page = render_html(made, script=SEARCH)
            rendered_s = time.process_time() - start
            opened, searched = measured(program, page, Path(name), arguments.runs)
            found[number] = {"opened_ms": opened, "searched_ms": searched, "rendered_s": round(rendered_s, 3),
                             "bytes": len(page.encode())}  # fmt: skip
    few, many = found[FEW], found[arguments.results]
    ratios = {key: round(many[key] / few[key], 2) for key in few}
    print(json.dumps({"cores": os.cpu_count(), "results": found, "ratio": ratios}, indent=2))


if __name__ == "__main__":
    main()
