"""What is said where an output for normal inputs is no number: once, with the place; whatever else needs it waits."""

import math
from collections.abc import Mapping
from dataclasses import replace

from audit.attention.plain_call import reply_to_plain
from audit.attention.subject import AttentionSubject
from audit.attention.traced import location_of
from audit.gateway.client import Plain
from audit.judgement import Judgement, skipped
from audit.plan import Run
from audit.results import Location, Outcome

NOT_FINITE = ("no usable reference", "not finite")  # the words with which properties say that they have none


def waiting(check: str, judgement: Judgement, subject: AttentionSubject, run: Run) -> Judgement:
    """Return a judgement that an output without numbers led to: the first with the place, the others as waiting on it.

    Args:
        check: the id of what was judged.
        judgement: of it.
        subject: what was judged; it remembers which check came first.
        run: the target's process, which is called once more for the place.
    """
    if not _is_due_to_it(judgement):
        return judgement
    first = subject.built.not_finite
    if first in (None, check):
        found = _first_place(subject, run)
        subject.built.not_finite = first = check if found else ""
        if found:
            said, place = found
            return replace(judgement, reason=f"{judgement.reason}; {said}", location=judgement.location or place)
    if first and first != check and judgement.outcome is Outcome.ERROR:
        return skipped(f"waits on {first}, which says where the output for normal inputs ceases to be a number")
    return judgement


def _is_due_to_it(judgement: Judgement) -> bool:
    if judgement.outcome is Outcome.ERROR:
        return all(part in (judgement.reason or "") for part in NOT_FINITE)
    value = judgement.measured.value if judgement.measured else None
    return judgement.outcome is Outcome.FAILED and isinstance(value, float) and not math.isfinite(value)


def _first_place(subject: AttentionSubject, run: Run) -> tuple[str, Location | None] | None:
    """Return where the output ceases to be a number, in words and as a line; None where it is one after all."""
    reply = reply_to_plain(subject, run, "attention_not_finite")
    return None if reply is None else _read(reply, run)


def _read(reply: Mapping[str, Plain], run: Run) -> tuple[str, Location | None] | None:
    kind, weight, listed = (reply.get(key) for key in ("kind", "weight", "appears"))
    if not isinstance(kind, str):
        return None
    if isinstance(weight, str):
        return f"the weight {weight} holds {kind} as it was built", None
    appears = [each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, dict)]
    if not appears:
        return f"it holds {kind}, and no operation was seen that made it of numbers", None
    places = [location_of(_frames(each.get("frames")), run.target) for each in appears]
    said = [
        f"{each.get('kind')!s} appears first in {each.get('operation')!s}" + (f" at {at.path}:{at.line}" if at else "")
        for each, at in zip(appears, places, strict=True)
    ]
    return ", then ".join(said), places[0]


def _frames(listed: Plain) -> tuple[tuple[str, int], ...]:
    pairs = [each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, list) and len(each) == 2]
    return tuple((path, line) for path, line in pairs if isinstance(path, str) and isinstance(line, int))
