"""Compares the inventory of a package with what its classes are at run time.

    python tests/tools/compare_inventory.py SITE_FOLDER PACKAGE [PACKAGE...]

Counted are the classes of modules that import; of the inventory, those that are not defined in functions.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.static.analysis import analyse

INTROSPECT = Path(__file__).with_name("introspect.py")
KINDS = ("model", "dataset", "datamodule", "optimizer", "scheduler", "sampler")
Name = tuple[str, str]


@dataclass(frozen=True)
class Agreement:
    """The classes of one kind: how many there are at run time, which were missed, and which are none."""

    kind: str
    total: int
    missed: tuple[Name, ...]
    wrong: tuple[Name, ...]

    @property
    def recall(self) -> float:
        """The share of the classes at run time that the inventory has."""
        return 1 - len(self.missed) / self.total if self.total else 1.0

    @property
    def precision(self) -> float:
        """The share of the inventory's classes that are of this kind at run time."""
        found = self.total - len(self.missed) + len(self.wrong)
        return 1 - len(self.wrong) / found if found else 1.0


def run_time_classes(root: Path, package: str, *, python: str = sys.executable) -> dict[str, object]:
    """Return what `introspect.py` writes about `package`, importable from `root`."""
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    command = [python, str(INTROSPECT), package]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True, timeout=1800
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def imported_modules(truth: dict[str, object]) -> list[str]:
    """Return the names of the modules that were imported."""
    imported = truth["imported"]
    assert isinstance(imported, list)
    return imported


def compare(root: Path, package: str, truth: dict[str, object], *, installed: Sequence[Path] = ()) -> list[Agreement]:
    """Return the agreement of every kind."""
    analysis = analyse(root, root.joinpath(*package.split(".")), installed=installed)
    imported, classes = imported_modules(truth), truth["classes"]
    assert isinstance(classes, list)
    agreements = []
    for kind in KINDS:
        actual = {(module, name) for module, name, kinds in classes if kind in kinds}
        found = {(item.module, item.qualname) for item in analysis.inventory if item.kind == kind}
        found = {each for each in found if each[0] in imported and "<locals>" not in each[1]}
        missed, wrong = tuple(sorted(actual - found)), tuple(sorted(found - actual))
        agreements.append(Agreement(kind, len(actual), missed, wrong))
    return agreements


def main() -> None:
    """Print one line for each package and kind, and each class on which the two disagree."""
    root = Path(sys.argv[1])
    for package in sys.argv[2:]:
        truth = run_time_classes(root, package)
        start = time.perf_counter()
        agreements = compare(root, package, truth)
        seconds = time.perf_counter() - start
        imported, failed = imported_modules(truth), truth["failed"]
        assert isinstance(failed, dict)
        print(f"{package}: {len(imported)} modules import, {len(failed)} do not; analysed in {seconds:.1f} s")
        for found in agreements:
            print(f"  {found.kind}: n {found.total}, recall {found.recall:.5f}, precision {found.precision:.5f}")
            for names, what in ((found.missed, "missed"), (found.wrong, "wrong")):
                for module, name in names[:40]:
                    print(f"    {what} {module}:{name}")


if __name__ == "__main__":
    main()
