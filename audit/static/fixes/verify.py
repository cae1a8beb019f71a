"""Keeps a fix of attention code only where the attention audit says that it made things better.

The fixed file is written, the classes in it that the specs declare are audited as `astrobio-audit attention` does, and
what stood there before is put back unless a result got better and none got worse.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audit.attention.plan import plan_attention
from audit.catalog import Catalog
from audit.collected import Collected
from audit.errors import UsageError
from audit.report.files import replace_content
from audit.results import Outcome, Result
from audit.session import Request, conduct
from audit.static.fixes.judging import Proposal
from audit.static.fixes.places import Tree
from audit.static.fixes.rounds import Fixed
from audit.static.fixes.run import FileFix, FixRun, written
from audit.target import Target

UNVERIFIED = "unverified: the attention specs name nothing that holds this place"
_RANK = {Outcome.PASSED: 2, Outcome.FAILED: 1, Outcome.ERROR: 0, Outcome.SKIPPED: 0}
Results = Mapping[tuple[str, str], Outcome]


@dataclass(frozen=True, slots=True)
class Declared:
    """A class or function that the specs declare as attention: its name there, its file, and its name in the file."""

    name: str
    path: Path
    qualname: str

    def holds(self, path: Path, proposal: Proposal) -> bool:
        """Return whether a proposal is about a place in it."""
        place = proposal.qualname or ""
        return path.resolve() == self.path and (place == self.qualname or place.startswith(f"{self.qualname}."))


class Verifier:
    """What the specs declare as attention, how to audit one of them, and what the audit said last."""

    def __init__(self, declared: Sequence[Declared], audit: Callable[[str], Results]) -> None:
        """Audit nothing yet."""
        self._declared = tuple(declared)
        self._audit = audit
        self._last: dict[str, Results] = {}

    def held_back(self, path: Path, proposal: Proposal) -> str | None:
        """Return why a fix may not even be tried: it is about attention, and nothing could tell what it does."""
        is_attention = proposal.rule.startswith("ATT")
        return UNVERIFIED if is_attention and not any(each.holds(path, proposal) for each in self._declared) else None

    def write(self, run: FixRun, trees: Sequence[Tree]) -> FixRun:
        """Write every changed file; those with attention code are audited, and put back unless it got better."""
        starts = [tree.start for tree in trees]
        return replace(run, files=tuple(self._written(each, starts) if each.is_changed else each for each in run.files))

    def _written(self, file: FileFix, starts: Sequence[Path]) -> FileFix:
        made = file.fixed.made
        names = sorted({each.name for each in self._declared if any(each.holds(file.path, one) for one in made)})
        if not names:
            return written(file, starts)
        before = {name: self._audited(name) for name in names}
        new = written(file, starts)
        if not new.written:
            return new
        keep = False
        try:
            after = {name: self._audit(name) for name in names}
            better, worse = _compared(before, after)
            keep = bool(better) and not worse
        finally:  # whatever ended this, Ctrl-C too
            if not keep:
                replace_content(
                    file.path.resolve(), file.content.data, expected=file.content.encoded(file.fixed.text) or b""
                )
        if keep:
            self._last |= after
            return replace(new, verified=f"verified: {'; '.join(better)}")
        reason = "; ".join(worse) if worse else f"no result of {', '.join(names)} got better"
        undone = Fixed(file.before, left=file.fixed.made + file.fixed.left, rolled_back=f"by --verify: {reason}")
        return replace(file, fixed=undone)

    def _audited(self, name: str) -> Results:
        if name not in self._last:
            self._last[name] = self._audit(name)
        return self._last[name]


def verifier_of(target: Target) -> Verifier:
    """Return the verifier of a target, whose specs are read for it.

    Raises:
        UsageError: they declare no attention, or cannot be read.
    """
    collected = Collected(target)
    try:
        catalog = collected.catalog
        if not isinstance(catalog, Catalog):
            raise UsageError(f"--verify: {catalog.judgement.reason}")
        if not catalog.attention:
            raise UsageError(f"--verify: the specs {target.settings.specs} declare no attention to audit")
        declared = _declared(collected, catalog)
    finally:
        collected.close()
    return Verifier(declared, lambda name: _audit(target, name))


def _declared(collected: Collected, catalog: Catalog) -> list[Declared]:
    found = []
    for name, entry in sorted((catalog.attention or {}).items()):
        module, _, qualname = (entry.declared or "").partition(":")
        place = collected.analysis.find_definition(module, qualname) if module and qualname else None
        if place:
            found.append(Declared(name, (collected.target.source / place.path).resolve(), qualname))
    return found


def _audit(target: Target, name: str) -> Results:
    report = conduct(target, Request(command="attention", planners=[plan_attention], subjects=[name], explain=False))
    if report.interrupted:
        raise KeyboardInterrupt
    return _outcomes(report.results)


def _outcomes(results: Sequence[Result]) -> Results:
    """Return the outcome of each check on each subject; of several the worst."""
    found: dict[tuple[str, str], Outcome] = {}
    for result in results:
        key = (result.check, result.subject.name)
        if key not in found or _rank(result.outcome) < _rank(found[key]):
            found[key] = result.outcome
    return found


def _rank(outcome: Outcome) -> int:
    return _RANK.get(outcome, 2)  # where a check does not apply, nothing is wrong


def _compared(before: Mapping[str, Results], after: Mapping[str, Results]) -> tuple[list[str], list[str]]:
    """Return what got better and what got worse, in words."""
    better, worse = [], []
    for name in before:
        for key in sorted({*before[name], *after[name]}):
            old = before[name].get(key, Outcome.ERROR)
            new = after[name].get(key, Outcome.ERROR)
            words = f"{key[0]} of {key[1]}: {old.value} -> {new.value}"
            if _rank(new) > _rank(old):
                better.append(words)
            elif _rank(new) < _rank(old):
                worse.append(words)
    return better, worse
