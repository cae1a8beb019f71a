"""What the target's exceptions and silences are called in a report."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from audit.gateway import ProbeFailure, TargetRaised
from audit.judgement import Judgement, error, failed
from audit.results import Location
from audit.target import Target

_MAX_TEXT = 1000
_HOW_CALLED = (
    "let the specs' functions take what they are given: build(), inputs(batch_size, generator), loss(output, inputs); "
    "docs/writing-specs.md has the others"
)
HOW_ATTENTION_IS_CALLED = (
    "let the specs' functions take what they are given: build(); forward(module, hidden_states, key_mask), with a "
    "`context_dim` forward(module, hidden_states, key_mask, context=context), of a function forward(query, key, value, "
    "is_causal=is_causal, mask=mask); decode(module, chunks), or decode(module, chunks, key_mask)"
)
# An environment in the target's own folder, as `.venv` is: what is installed in it is not the target's.
_INSTALLED = re.compile(r"(^|/)(site-packages|dist-packages|lib(64)?/python\d[\d.]*)/")
_ADDRESS = re.compile(r"(?<= at )0x[0-9a-fA-F]{6,}\b")  # as in `<object at 0x7f1d78a13380>`


def describe_raised(raised: TargetRaised, target: Target) -> str:
    """Return one sentence: the phase, the exception's type and its message."""
    if raised.is_out_of_memory:
        return f"out of memory during {raised.phase}: {_short(str(raised), target)}"
    if raised.is_out_of_disk:
        return f"out of disk space during {raised.phase}: {_short(str(raised), target)}"
    return f"{raised.phase} raised {_short(str(raised), target)}"


def describe_failure(failure: ProbeFailure, target: Target) -> str:
    """Return the reason and the last lines that the target printed."""
    if not failure.output_tail.strip():
        return failure.reason
    return f"{failure.reason}; last output:\n{_short(failure.output_tail, target, keep_end=True)}"


def location_of(raised: TargetRaised, target: Target) -> Location | None:
    """Return the innermost line of the traceback that lies in the target."""
    return innermost([(frame.path, frame.line) for frame in raised.frames], target)


def innermost(places: Sequence[tuple[str, int]], target: Target) -> Location | None:
    """Return the last of these files and lines that lies in the target and is its own; None where none is."""
    for path, line in reversed(places):
        relative = target.relative(Path(path))
        if relative is not None and not _INSTALLED.search(relative):
            return Location(path=relative, line=line)
    return None


def judge_raised(
    raised: TargetRaised, target: Target, *, phases: Iterable[str], called: str | None = _HOW_CALLED
) -> Judgement:
    """Fail when the exception came from one of `phases`, which the check is about; else the check was not carried out.

    A refused allocation and a full disk are never a failure: they say something about the machine; nor is what the
    specs give and no procedure can use.

    Args:
        raised: the exception.
        target: where it came from.
        phases: those that the check is about.
        called: the fix where functions of the specs take other arguments than they are given; None without specs.
    """
    reason, place = describe_raised(raised, target), location_of(raised, target)
    if raised.is_refused_call:
        return error(reason, location=place, fix=called)
    if raised.phase in phases and not raised.is_of_the_machine and not raised.is_of_the_specs:
        return failed(reason, location=place)
    return error(reason, location=place)


def _short(text: str, target: Target, *, keep_end: bool = False) -> str:
    # Reports must not depend on where the target lies on this machine, nor its objects in memory.
    text = _ADDRESS.sub("0x...", text.replace(f"{target.root}/", ""))
    if len(text) <= _MAX_TEXT:
        return text
    return "... " + text[-_MAX_TEXT:] if keep_end else text[:_MAX_TEXT] + " ..."
