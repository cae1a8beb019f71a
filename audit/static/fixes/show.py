"""What was or could be fixed, as text, as unified diffs and as JSON."""

import difflib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum

from audit.report.text import one_line, plain
from audit.static.fixes.edits import Edit
from audit.static.fixes.judging import Proposal
from audit.static.fixes.run import FileFix, FixRun
from audit.static.fixes.source import SourceText
from audit.static.rules.rule import FixSafety


class Mode(StrEnum):
    """What the user asked for."""

    LIST = "list"
    DIFF = "diff"
    FIX = "fix"


def made(run: FixRun) -> list[Proposal]:
    """Return the fixes that stand in the new texts, written or only worked out."""
    return [each for file in run.files if not file.unwritten for each in file.fixed.made]


def left(run: FixRun) -> list[Proposal]:
    """Return the fixes that were not made: suggestions, those of kinds not asked for, and those that failed."""
    undone = [each for file in run.files if file.unwritten for each in file.fixed.made]
    held = [each for file in run.files for each, _ in file.held]
    return [*(each for file in run.files for each in file.fixed.left), *undone, *held]


def is_clean(run: FixRun, mode: Mode) -> bool:
    """Return whether no fix is left that this command could make, with `--unsafe-fixes` or without."""
    open_ = [each for each in left(run) if each.fix and each.fix.safety is not FixSafety.SUGGESTION]
    return not open_ and (mode is Mode.FIX or not made(run))


def text_of(run: FixRun, mode: Mode, *, unsafe: bool = False) -> str:
    """Return the list of fixes by file, and the counts in the last line; `unsafe` ones were asked for or not."""
    lines: list[str] = []
    for file in run.files:
        lines.append(one_line(file.name, limit=None))
        if file.fixed.rolled_back:
            how = "some edits are not made" if file.is_changed else "left as it is"
            lines.append(f"  {how}: {one_line(file.fixed.rolled_back)}")
        if file.verified:
            lines.append(f"  {one_line(file.verified)}")
        if file.unwritten:
            lines.append(f"  not written: {one_line(file.unwritten, limit=None)}")
        shown = [*file.fixed.made, *file.fixed.left]
        lines += [_line(each, each in file.fixed.made, mode) for each in sorted(shown, key=_place)]
        lines += [f"{_line(each, False, mode)} ({one_line(why)})" for each, why in file.held]
    lines += [f"{one_line(name, limit=None)}\n  skipped: {one_line(why)}" for name, why in run.unreadable]
    return "\n".join([*lines, summary(run, mode, unsafe=unsafe)]) + "\n"


def _place(proposal: Proposal) -> tuple[int, int, str]:
    return proposal.line, proposal.column, proposal.rule


def _line(proposal: Proposal, is_made: bool, mode: Mode) -> str:
    place = f"{proposal.line}:{proposal.column}"
    safety = proposal.fix.safety.value if proposal.fix else ""
    state = "" if mode is Mode.LIST else "fixed " if is_made else "left  "
    return f"  {place:8} {state}{proposal.rule} {safety:10} {one_line(proposal.message)}"


def summary(run: FixRun, mode: Mode, *, unsafe: bool = False) -> str:
    """Return one line: how many fixes of which kind, in how many files, and what makes the others.

    With `unsafe`, the unsafe ones were asked for too: what is left of them could not be made.
    """
    done, rest = made(run), left(run)
    by_safety = Counter(each.fix.safety for each in rest if each.fix)
    if mode is Mode.LIST:
        by_safety += Counter(each.fix.safety for each in done if each.fix)
        done = []
    verb = "fixed" if mode is Mode.FIX else "would be fixed"
    files = len({file.name for file in run.files if file.is_changed and not file.unwritten}) if done else 0
    parts = [f"{_count(len(done), 'finding')} {verb} in {_count(files, 'file')}"] if mode is not Mode.LIST else []
    safe, risky, ideas = (by_safety[each] for each in (FixSafety.SAFE, FixSafety.UNSAFE, FixSafety.SUGGESTION))
    if mode is Mode.DIFF and risky and not (done or safe or unsafe):  # an empty diff would look like nothing to fix
        number = "1 unsafe fix is" if risky == 1 else f"{risky} unsafe fixes are"
        parts = [f"no safe fix to show; {number} left out, which --diff --unsafe-fixes shows"]
    elif safe or risky:
        hint = f" ({_how(mode, safe=safe, risky=risky)})" if mode is Mode.LIST or (risky and not unsafe) else ""
        what = "can be fixed" if mode is Mode.LIST else "left"
        parts.append(f"{_count(safe + risky, 'finding')} {what}: {safe} safe, {risky} unsafe{hint}")
    elif mode is Mode.LIST:
        parts.append("nothing to fix in what was read" if run.unreadable else "nothing to fix")
    if ideas:
        parts.append(f"{_count(ideas, 'suggestion')} for a person")
    return f"{'; '.join(parts)}; {_count(run.files_read, 'file')} read"


def _how(mode: Mode, *, safe: int, risky: int) -> str:
    if mode is not Mode.LIST:
        return "--unsafe-fixes takes the unsafe ones in"
    if not risky:
        return "--fix makes them"
    return "--fix makes the safe ones, --fix --unsafe-fixes all" if safe else "--fix --unsafe-fixes makes them"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def diffs_of(run: FixRun, *, for_terminal: bool) -> str:
    """Return the unified diffs of all files that would change, as `patch -p1` takes them.

    For a terminal, characters that could move the cursor are replaced; such a diff is for reading only.
    """
    text = "".join(_diff(file) for file in run.files if file.is_changed)
    return plain(text) if for_terminal else text


def _diff(file: FileFix) -> str:
    name = one_line(file.name, limit=None).removeprefix("/")
    lines = difflib.unified_diff(
        _lines(file.before), _lines(file.fixed.text), fromfile=f"a/{name}", tofile=f"b/{name}", n=3
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    """Split at line feeds only: a carriage return belongs to the line that it ends."""
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def json_of(run: FixRun, mode: Mode) -> str:
    """Return everything as JSON."""
    document = {
        "command": "fix",
        "mode": mode.value,
        "files_read": run.files_read,
        "files": [_file(file) for file in run.files],
        "unreadable": [{"path": name, "reason": why} for name, why in run.unreadable],
        "clean": is_clean(run, mode),
    }
    return json.dumps(document, indent=2) + "\n"


def _file(file: FileFix) -> dict[str, object]:
    source = SourceText(file.before)
    of_made = source if file.fixed.rounds <= 1 else None  # the places of a later round are not in this text
    of_left = None if file.is_changed else source
    rows = [
        *(_row(each, of_made, applied=file.written) for each in file.fixed.made),
        *(_row(each, of_left, applied=False) for each in file.fixed.left),
        *(_row(each, of_left, applied=False) | {"held_back": why} for each, why in file.held),
    ]
    return {
        "path": file.name,
        "edits": rows,
        "rounds": file.fixed.rounds,
        "applied": file.written,
        "rolled_back": file.fixed.rolled_back,
        "not_written": file.unwritten,
        "verified": file.verified,
        "diff": _diff(file) if file.is_changed else None,
    }


def _row(proposal: Proposal, source: SourceText | None, *, applied: bool) -> dict[str, object]:
    assert proposal.fix is not None
    return {
        "rule": proposal.rule,
        "safety": proposal.fix.safety.value,
        "message": proposal.message,
        "line": proposal.line,
        "column": proposal.column,
        "end_line": proposal.end_line,
        "end_column": proposal.end_column,
        "qualname": proposal.qualname,
        "applied": applied,
        "replacements": list(_replacements(proposal.fix.edits, source)) if source else None,
    }


def _replacements(edits: Sequence[Edit], source: SourceText) -> Iterator[dict[str, object]]:
    for edit in edits:
        (line, column), (end_line, end_column) = source.position(edit.start), source.position(edit.end)
        yield {"line": line, "column": column, "end_line": end_line, "end_column": end_column, "text": edit.text}
