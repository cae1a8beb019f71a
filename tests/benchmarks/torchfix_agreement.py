"""Compares the rules with TorchFix over folders of sources: what both report, what only one of them does.

    python tests/benchmarks/torchfix_agreement.py [FOLDER ...] [--torchfix path/to/torchfix] [--output SAVED]

Without a folder, the programs of `torchfix_constructs.py` are compared, and a line whose mark one of the tools does
not bear out ends the run with 1. Install TorchFix in an environment of its own: `pip install torchfix==0.7.0`. With
`--output`, what TorchFix printed in an earlier run over the same folder is read instead of running it again.
"""

import argparse
import ast
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from torchfix_constructs import marked_lines, programs

from audit.static.analysis import analyse
from audit.static.reading import UnreadableFile, read
from audit.static.rules.engine import run_rules
from audit.static.rules.registry import all_rules
from audit.static.rules.rule import Rule
from audit.static.sources import SourceFile

# All ids of TorchFix 0.7.0, with what they are about; those of one pair are told apart by import and use.
TORCHFIX_RULES = {
    "TOR001": "use of a removed function",
    "TOR002": "require_grad",
    "TOR003": "checkpoint without use_reentrant",
    "TOR004": "import of a removed function",
    "TOR101": "use of a deprecated function",
    "TOR102": "load without weights_only",
    "TOR103": "import of a deprecated function",
    "TOR104": "use of a private name",
    "TOR105": "import of a private name",
    "TOR106": "log(1 + x)",
    "TOR107": "exp(x) - 1",
    "TOR201": "pretrained=",
    "TOR202": "v2.ToTensor",
    "TOR203": "import torchvision.x as x",
    "TOR401": "DataLoader without workers",
    "TOR901": "torch.library.Library",
}
_OF_IMPORTS = {"TOR001": "TOR004", "TOR101": "TOR103", "TOR104": "TOR105"}
_LINE = re.compile(r"^(?P<path>.+?):(?P<line>\d+):\d+: (?P<id>TOR\d{3})\b")

Place = tuple[str, int]  # path below the folder, line


@dataclass
class Agreement:
    """The places of one id of TorchFix, by which of the tools report them."""

    both: set[Place] = field(default_factory=set)
    only_torchfix: set[Place] = field(default_factory=set)
    only_ours: set[Place] = field(default_factory=set)


def equivalents() -> dict[str, Rule]:
    """Return our rule for each id of TorchFix, by what the rules say of themselves.

    Raises:
        LookupError: an id has none.
    """
    found = {name: rule for rule in all_rules() for name in rule.also_silenced_by if name in TORCHFIX_RULES}
    missing = TORCHFIX_RULES.keys() - found.keys()
    if missing:
        raise LookupError(f"no rule is silenced by {', '.join(sorted(missing))}")
    return found


def ours(folder: Path) -> dict[str, set[Place]]:
    """Return the places that our rules report in a folder, by the id of TorchFix that stands for the same."""
    rules = {rule.id: rule for rule in equivalents().values()}
    analysis = analyse(folder, folder)
    firsts = {file.relative: _first_lines(file) for file in analysis.files}
    found: dict[str, set[Place]] = defaultdict(set)
    for finding in run_rules(analysis, sorted(rules.values(), key=lambda rule: rule.id)).findings:
        first = firsts[finding.path].get(finding.line)
        name = rules[finding.rule].also_silenced_by[0]
        found[_OF_IMPORTS.get(name, name) if first else name].add((finding.path, first or finding.line))
    return found


def _first_lines(file: SourceFile) -> dict[int, int]:
    """Return for each line of an import statement the statement's first line, which is what TorchFix reports."""
    parsed = read(file)
    if isinstance(parsed, UnreadableFile):
        return {}
    imports = (node for node in ast.walk(parsed.tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return {line: node.lineno for node in imports for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def torchfix(folder: Path, command: str) -> str:
    """Return what TorchFix prints of a folder; it exits with 1 where a file made it fail, and names none of them."""
    done = subprocess.run(
        [command, "--jobs=1", "--select=ALL", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise OSError(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")
    if done.returncode == 1:
        print("TorchFix failed on one of the files or more, whose findings are missing here")
    return done.stdout


def places(output: str, folder: Path) -> dict[str, set[Place]]:
    """Return the places in what TorchFix printed of a folder, by id."""
    found: dict[str, set[Place]] = defaultdict(set)
    for line in output.splitlines():
        if match := _LINE.match(line):
            path = Path(match["path"])
            relative = path.resolve().relative_to(folder.resolve()) if path.is_absolute() else path
            found[match["id"]].add((relative.as_posix(), int(match["line"])))
    return found


def compared(theirs: dict[str, set[Place]], our: dict[str, set[Place]]) -> dict[str, Agreement]:
    """Return the agreement on each id of TorchFix."""
    result = {}
    for name in TORCHFIX_RULES:
        one, other = theirs.get(name, set()), our.get(name, set())
        result[name] = Agreement(both=one & other, only_torchfix=one - other, only_ours=other - one)
    return result


def show(agreements: dict[str, Agreement]) -> None:
    """Print one line per id and the places on which the tools differ."""
    rules = equivalents()
    print(f"{'TorchFix':9} {'ours':7} {'both':>5} {'only TorchFix':>14} {'only ours':>10}  about")
    for name, found in agreements.items():
        counts = f"{len(found.both):5} {len(found.only_torchfix):14} {len(found.only_ours):10}"
        print(f"{name:9} {rules[name].id:7} {counts}  {TORCHFIX_RULES[name]}")
    for name, found in agreements.items():
        for title, which in (("only TorchFix", found.only_torchfix), ("only ours", found.only_ours)):
            for path, line in sorted(which):
                print(f"{name} {title}: {path}:{line}")


def broken_marks(theirs: dict[str, set[Place]], our: dict[str, set[Place]]) -> list[str]:
    """Return one line for each mark of the constructs that a tool does not bear out, and each finding without one."""
    lines = []
    for path, text in programs().items():
        both, only = marked_lines(text), marked_lines(text, "~")
        for tool, found, expected in (("TorchFix", theirs, both | only), ("ours", our, both)):
            here = {(line, name) for name, where in found.items() for place, line in where if place == path}
            lines += [f"{path}:{line}: {name} is not reported by {tool}" for line, name in sorted(expected - here)]
            lines += [
                f"{path}:{line}: {name} has no mark, reported by {tool}" for line, name in sorted(here - expected)
            ]
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the tools over what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--torchfix", default="torchfix", help="the command")
    parser.add_argument("--output", type=Path, help="what TorchFix printed of the one folder, saved before")
    chosen = parser.parse_args(arguments)
    if chosen.folders:
        _compare_folders(chosen.folders, command=chosen.torchfix, output=chosen.output)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in programs().items():
            (folder / path).write_text(text)
        theirs, our = places(torchfix(folder, chosen.torchfix), folder), ours(folder)
    show(compared(theirs, our))
    broken = broken_marks(theirs, our)
    print("\n".join(broken) if broken else f"every mark of {len(programs())} programs is borne out by both tools")
    return 1 if broken else 0


def _compare_folders(folders: Iterable[Path], *, command: str, output: Path | None) -> None:
    for folder in folders:
        printed = output.read_text() if output else torchfix(folder, command)
        print(f"\n{folder}")
        show(compared(places(printed, folder), ours(folder)))


if __name__ == "__main__":
    sys.exit(main())
