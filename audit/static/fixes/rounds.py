"""From a text to the same text with its fixes made: round after round until there is nothing more to do."""

import ast
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from audit.static.fixes.edits import Edit, Fix, applied, disjoint
from audit.static.fixes.judging import Judged, Proposal
from audit.static.fixes.source import SourceText
from audit.static.fixes.untouched import differ_only_where_edited
from audit.static.reading import ParsedFile, UnreadableFile
from audit.static.rules.rule import FixSafety

MAX_ROUNDS = 20  # fixes that overlap wait for the next round; twenty layers of them have not been seen

Parse = Callable[[str], ParsedFile | UnreadableFile]
Judge = Callable[[ParsedFile], Judged]


@dataclass(frozen=True, slots=True)
class Fixed:
    """What became of one text: the fixes made, round by round, and what is left to do.

    With `rolled_back` the edits that it tells of are not made: those of some rules, or all. `left` are the fixes of
    the allowed kinds that could not be made, and all those of other kinds.
    """

    text: str
    made: tuple[Proposal, ...] = ()
    left: tuple[Proposal, ...] = ()
    rounds: int = 0
    rolled_back: str | None = None


class RollBack(Exception):
    """Why the edits of a round may not stay."""


def fix_text(parsed: ParsedFile, *, parse: Parse, judge: Judge, allowed: Collection[FixSafety]) -> Fixed:
    """Make all fixes of the `allowed` kinds in a text. Where they may not stay together, rule by rule those that may.

    Raises:
        RecursionError: an expression is nested too deeply to follow.
    """
    together = _all_fixed(parsed, parse=parse, judge=judge, allowed=allowed)
    rules = sorted({each.rule for each in together.left if each.fix and each.fix.safety in allowed})
    if together.rolled_back is None or len(rules) < 2:
        return together
    current, made, reasons, rounds = parsed, list[Proposal](), list[str](), 0
    for rule in rules:
        alone = _all_fixed(current, parse=parse, judge=_only(rule, judge), allowed=allowed)
        if alone.rolled_back:
            reasons.append(alone.rolled_back)
        else:
            again = parse(alone.text)
            assert isinstance(again, ParsedFile), "a round is rolled back where the text does not parse"
            current, rounds = again, rounds + alone.rounds
            made += alone.made
    return Fixed(current.text, tuple(made), _with_fix(judge(current)), rounds, "; ".join(reasons) or None)


def _only(rule: str, judge: Judge) -> Judge:
    """Return a judge that finds the same and proposes the fixes of one rule alone."""

    def judged(text: ParsedFile) -> Judged:
        return Judged(tuple(each if each.rule == rule else replace(each, fix=None) for each in judge(text).proposals))

    return judged


def _all_fixed(parsed: ParsedFile, *, parse: Parse, judge: Judge, allowed: Collection[FixSafety]) -> Fixed:
    first = judged = judge(parsed)
    current = parsed
    made: list[Proposal] = []
    try:
        for number in range(MAX_ROUNDS + 1):
            chosen = _chosen(judged, allowed)
            if not chosen:
                return Fixed(current.text, tuple(made), _with_fix(judged), number)
            if number == MAX_ROUNDS:
                raise RollBack(f"there is still something to fix after {MAX_ROUNDS} rounds")
            current, judged = _round(current, judged, chosen, parse, judge)
            made += chosen
    except RollBack as reason:
        return Fixed(parsed.text, (), _with_fix(first), 0, str(reason))
    raise AssertionError("the last round returns or raises")


def _with_fix(judged: Judged) -> tuple[Proposal, ...]:
    return tuple(each for each in judged.proposals if each.fix is not None)


def _chosen(judged: Judged, allowed: Collection[FixSafety]) -> list[Proposal]:
    """Return the proposals whose edits can be made together; those that share one fix go together."""
    fixes: dict[Fix, list[Proposal]] = {}
    for proposal in judged.proposals:
        if proposal.fix is not None and proposal.fix.safety in allowed:
            fixes.setdefault(proposal.fix, []).append(proposal)
    order = list(fixes)
    return [each for index in disjoint([fix.edits for fix in order]) for each in fixes[order[index]]]


def _round(
    current: ParsedFile, judged: Judged, chosen: Sequence[Proposal], parse: Parse, judge: Judge
) -> tuple[ParsedFile, Judged]:
    """Return the text with the chosen edits made, and what is found in it.

    Raises:
        RollBack: it does not parse, a finding is still there, there is a new one, or something else changed.
    """
    edits = sorted({edit for each in chosen if each.fix for edit in each.fix.edits})
    parsed = parse(applied(current.text, edits))
    rules = ", ".join(sorted({each.rule for each in chosen}))
    if isinstance(parsed, UnreadableFile):
        raise RollBack(f"with the edits of {rules} it does not parse: {parsed.reason}")
    after = judge(parsed)
    _check_findings(judged, after, chosen)
    if not _only_edited(current, parsed.tree, edits):
        raise RollBack(f"with the edits of {rules} a statement changed that is not edited")
    return parsed, after


def _check_findings(before: Judged, after: Judged, chosen: Sequence[Proposal]) -> None:
    old, new, mended = before.counts, after.counts, Judged(tuple(chosen)).counts
    for place in sorted(new | mended, key=str):
        rule, qualname = place
        where = f" in {qualname}" if qualname else ""
        if new[place] > old[place]:
            raise RollBack(f"after the edits {rule} finds something new{where}")
        if new[place] > old[place] - mended[place]:
            raise RollBack(f"after its edit {rule} still finds the same{where}")


def _only_edited(old: ParsedFile, new: ast.Module, edits: Sequence[Edit]) -> bool:
    return differ_only_where_edited(old.tree, new, SourceText(old.text), edits)
