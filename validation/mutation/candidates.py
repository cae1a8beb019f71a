"""Which files of the target are mutated: those whose attention, models and training the inventory finds."""

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from libcst import ParserSyntaxError

from audit.claims import AnyClaim
from audit.collected import Collected
from audit.mutation.mutants import Mutant, mutants_of
from audit.mutation.operator import Operator
from audit.static.kinds import InventoryKind
from audit.static.names import FileSummary, Origin

# The inventory knows a loop that holds all parts of a step; a trainer may have them in methods of their own.
_TRAINS = re.compile(
    r"\.backward\(|\bzero_grad\(|\bclip_grad_\w+\(|\boptimi[sz]er\.step\(|\b(cross_entropy|mse_loss|nll_loss|l1_loss)\("
)
_COMPUTING = frozenset({InventoryKind.MODEL, InventoryKind.ATTENTION})


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file to mutate: its path relative to the target, its module, and its text."""

    path: str
    module: str
    text: str


def candidates(collected: Collected, *, training: bool) -> list[Candidate]:
    """Return the files of the package that hold models or attention, and those that these take names from.

    Specs, and modules that only claims have a use for, are no part of what tests are for.

    Args:
        collected: facts about the target.
        training: whether files that train count too.
    """
    analysis = collected.analysis
    chosen = {item.path for item in analysis.inventory if item.kind in _COMPUTING}
    facts = analysis.records.by_path("facts")
    chosen |= {path for path, each in facts.items() if each.kernels}
    chosen |= _imported(analysis.summaries, chosen)
    if training:
        chosen |= {path for path, each in facts.items() if each.training}
        chosen |= {item.path for item in analysis.inventory if item.kind is InventoryKind.TRAINING_SCRIPT}
    tests = {item.path for item in analysis.inventory if item.kind is InventoryKind.TEST}
    specs = {collected.target.settings.specs} | _of_claims_alone(collected.target.settings.claims, analysis.summaries)
    found = []
    for file in analysis.files:
        if file.relative in tests or file.module in specs or file.path.suffix != ".py":
            continue
        text = _text(file.path)
        if text is not None and (file.relative in chosen or (training and _TRAINS.search(text))):
            found.append(Candidate(path=collected.rooted(file.relative), module=file.module, text=text))
    return found


def _of_claims_alone(claims: Sequence[AnyClaim], summaries: Sequence[FileSummary]) -> set[str]:
    """Return the modules that claims name functions of and that no file of the package imports from."""
    named = {
        path.partition(":")[0]
        for claim in claims
        for key in ("baseline", "candidate", "inputs", "exact", "measure")
        if isinstance(path := getattr(claim, key, None), str)
    }
    imports = [
        value
        for summary in summaries
        for values in summary.bindings.values()
        for value in values
        if value.origin is Origin.IMPORT and value.module != summary.module
    ]
    return named - {name for each in imports for name in (each.module, ".".join((each.module, *each.attributes[:1])))}


def _imported(summaries: tuple[FileSummary, ...], chosen: Set[str]) -> set[str]:
    """Return the files beside the chosen ones that these import names from: masks, rotations, caches.

    What lies in another folder, such as the data that a model's card names, is no part of the computation.
    """
    paths = {summary.module: summary.path for summary in summaries}
    found: set[str] = set()
    for summary in summaries:
        if summary.path not in chosen:
            continue
        folder = summary.path.rpartition("/")[0]
        for values in summary.bindings.values():
            for value in values:
                if value.origin is Origin.IMPORT:
                    below = ".".join((value.module, *value.attributes[:1]))
                    near = {paths[name] for name in (value.module, below) if name in paths}
                    found |= {path for path in near if path.rpartition("/")[0] == folder}
    return found


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")  # the mark of the order of bytes is no part of the text
    except (OSError, UnicodeDecodeError):  # the static checks say so
        return None


def mutants_in(files: list[Candidate], operators: tuple[Operator, ...]) -> Iterator[tuple[Candidate, Mutant]]:
    """Yield the mutants of every file, in order of path and line; of a file that does not parse there are none."""
    for file in files:
        try:
            found = mutants_of(file.text, path=file.path, operators=operators)
        except (SyntaxError, ValueError, RecursionError, ParserSyntaxError):  # the static checks say so
            continue
        for mutant in found:
            yield file, mutant
