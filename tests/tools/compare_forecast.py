"""Compares the import forecast of installed packages with what importing and running their modules really does.

    python tests/tools/compare_forecast.py PYTHON SITE_FOLDER PACKAGE... [--way package|file] [--sample 150] [--seed 0]

PYTHON is the interpreter that the forecast is about, with SITE_FOLDER on its path. A sample of each package's files is
drawn; `import_truth.py` says how each really ends. A process that hangs or dies is left out and counted.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.static.analysis import StaticAnalysis, analyse
from audit.static.imports.causes import ImportRow
from audit.static.imports.forecast import forecast
from audit.target import Target

TRUTH = Path(__file__).with_name("import_truth.py")
UNKNOWN = ("the process died", "the process took too long")


@dataclass(frozen=True)
class Agreement:
    """How forecast and truth agree on a sample: names by what they are."""

    both: tuple[str, ...]
    wrong: tuple[str, ...]
    missed: tuple[str, ...]
    fine: int
    left_out: int

    @property
    def line(self) -> str:
        """The counts, precision and recall of failures, in words."""
        found, there = len(self.both) + len(self.wrong), len(self.both) + len(self.missed)
        precision = f"{len(self.both) / found:.3f}" if found else "none forecast"
        recall = f"{len(self.both) / there:.3f}" if there else "none fails"
        counts = f"TP {len(self.both)}, FP {len(self.wrong)}, FN {len(self.missed)}, TN {self.fine}"
        return f"{counts}, left out {self.left_out}; precision {precision}, recall {recall}"


def compare(forecasts: Mapping[str, bool], truth: Mapping[str, str]) -> Agreement:
    """Return how forecasts (whether it fails) agree with how each really ended (empty: well)."""
    known = {name: end for name, end in truth.items() if end not in UNKNOWN}
    return Agreement(
        both=tuple(name for name, end in known.items() if end and forecasts[name]),
        wrong=tuple(name for name, end in known.items() if not end and forecasts[name]),
        missed=tuple(name for name, end in known.items() if end and not forecasts[name]),
        fine=sum(not end and not forecasts[name] for name, end in known.items()),
        left_out=len(truth) - len(known),
    )


def sample(analysis: StaticAnalysis, *, number: int, seed: int) -> list[str]:
    """Return the paths of some files, sorted; the same for the same seed."""
    paths = sorted(file.relative for file in analysis.files)
    return sorted(random.Random(seed).sample(paths, min(number, len(paths))))


def really(python: Path, way: str, root: Path, package: str, names: Sequence[str]) -> dict[str, str]:
    """Return how importing each module, or running each file, ends."""
    loaded_before = ["torch", package] if way == "package" else ["torch"]  # a module's import begins with its package
    done = subprocess.run(
        ["nice", str(python.absolute()), "-W", "ignore", str(TRUTH), way, str(root.absolute()), *loaded_before],
        input="\n".join(names), capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def fails(row: ImportRow, way: str) -> bool:
    """Whether the forecast says that it fails in this way."""
    if way == "package":
        return row.forecast == "fails"
    return row.as_file is not None and row.as_file.forecast == "fails"


def main() -> None:
    """Print the agreement for each package and way, and every name on which the two disagree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path)
    parser.add_argument("site", type=Path)
    parser.add_argument("packages", nargs="+")
    parser.add_argument("--way", choices=("package", "file"), action="append")
    parser.add_argument("--sample", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for package in options.packages:
        target = Target.load(options.site, package=package, python=options.python)
        analysis = analyse(target.source, target.package_path)
        rows = forecast(analysis, target, every_as_file=True)
        if rows is None:
            sys.exit(f"{options.python} does not tell its facts")
        by_path = {row.path: row for row in rows}
        paths = [path for path in sample(analysis, number=options.sample, seed=options.seed) if path in by_path]
        for way in options.way or ("package", "file"):
            names = {by_path[path].module if way == "package" else path: by_path[path] for path in paths}
            truth = really(options.python, way, options.site, package, list(names))
            found = compare({name: fails(row, way) for name, row in names.items()}, truth)
            print(f"{package} as {way}: {found.line}", flush=True)
            for name in (*found.wrong, *found.missed):
                row = names[name]
                said = row if way == "package" else row.as_file
                print(f"  {name}: really {truth[name] or 'well'!r}; forecast {said!r}")


if __name__ == "__main__":
    main()
