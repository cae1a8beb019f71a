"""A comparison of two reports as text, JSON or Markdown."""

from collections.abc import Iterator, Sequence

from audit.report.comparing.difference import Difference, Entry, Side
from audit.report.text import cell_code, markdown, one_line, percent

_MOST_SHOWN = 50
_TITLES = {
    "new_failures": "new failures",
    "no_longer_judged": "no longer judged",
    "fixed": "fixed",
    "still_failing": "still failing",
    "newly_judged": "newly judged",
}


def diff_json(found: Difference) -> str:
    """Return the comparison as JSON text."""
    return found.model_dump_json(indent=2) + "\n"


def diff_text(found: Difference) -> str:
    """Return the comparison for a terminal, with its paragraph first; nothing in it can move the cursor."""
    lines = [one_line(found.says, None), "", f"before: {_side(found.old)}", f"after:  {_side(found.new)}"]
    for title, entries in _sections(found):
        lines += ["", f"{title} ({len(entries)}):"]
        lines += [f"  {_line(entry)}" for entry in entries[:_MOST_SHOWN]]
        if len(entries) > _MOST_SHOWN:
            lines.append(f"  and {len(entries) - _MOST_SHOWN} more; --format json has all")
    return "\n".join(lines) + "\n"


def diff_markdown(found: Difference) -> str:
    """Return the comparison as Markdown, every string of the target's escaped."""
    lines = [markdown(found.says), "", "| | commit | verdict | score | coverage |", "|---|---|---|---|---|"]
    for name, side in (("before", found.old), ("after", found.new)):
        commit = cell_code((side.commit or "none")[:12]) + (" and changes" if side.dirty else "")
        shares = f"{percent(side.score)} | {percent(side.coverage)}"
        lines.append(f"| {name} | {commit} | {_verdict(side)}{_profile(side)} | {shares} |")
    for title, entries in _sections(found):
        lines += ["", f"## {title.capitalize()} ({len(entries)})", ""]
        lines += ["| check | subject | before | after | reason |", "|---|---|---|---|---|"]
        lines += [
            f"| {cell_code(entry.check)} | {cell_code(entry.subject)} | {_outcome(entry.before)} | "
            f"{_outcome(entry.after)} | {markdown(_reason(entry), 300)} |"
            for entry in entries
        ]
    return "\n".join(lines) + "\n"


def _sections(found: Difference) -> Iterator[tuple[str, Sequence[Entry]]]:
    for name, title in _TITLES.items():
        if entries := getattr(found, name):
            yield title, entries


def _line(entry: Entry) -> str:
    change = f"{_outcome(entry.before)} -> {_outcome(entry.after)}"
    reason = f": {one_line(_reason(entry))}" if _reason(entry) else ""
    return f"{entry.check} on {one_line(entry.subject)}: {change}{reason}"


def _reason(entry: Entry) -> str:
    return "; ".join(filter(None, (entry.waived, entry.reason)))


def _outcome(outcome: object) -> str:
    return str(outcome).replace("_", " ") if outcome else "no result"


def _side(side: Side) -> str:
    commit = (side.commit or "no commit")[:12] + (" and changes" if side.dirty else "")
    return f"{commit}, {_verdict(side)}{_profile(side)}, score {percent(side.score)}, coverage {percent(side.coverage)}"


def _profile(side: Side) -> str:
    return f", {side.profile.use}" if side.profile else ""


def _verdict(side: Side) -> str:
    return side.verdict.value if side.verdict else "no verdict (partial)"
