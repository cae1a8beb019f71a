"""A call hides no error of its own, and makes no parameters."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from audit.attention.cases import key_length, plain_case, with_mask
from audit.attention.properties.judging import call_raised
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, judged
from audit.plan import Run
from audit.raised import innermost
from audit.results import Check, Comparison, Location, Severity

CHECK = Check(
    id="attention.swallowed_errors",
    title="A call hides no error of its own",
    proves="During calls with and without a mask, in eval and in train mode, the target handles no exception that "
    "tells of a mistake, logs no error and makes no parameter.",
    defect="a computation that raises for every input, inside a `try` that returns something else",
    severity=Severity.MAJOR,
)

# Exceptions that tell of a mistake in the computation; others are looked for on purpose, such as a missing key,
# attribute or backend.
_MISTAKES = frozenset(
    {"RuntimeError", "TypeError", "ValueError", "AssertionError", "NameError", "UnboundLocalError", "ZeroDivisionError",
     "IndexError"}
)  # fmt: skip
# What may be tried and refused for a good reason: a kernel or device that is not there, an interface of another
# version, a view of what lies in memory in another order.
_TRIED = re.compile(
    r"cuda|gpu|kernel|triton|flash|xformers|backend|device|compil|dynamo|inductor|\bmps\b|hip\b|"
    r"not (been )?(available|supported|implemented|installed|found)|unsupported|only support|requires|"
    r"unexpected keyword|positional argument|view size is not compatible|contiguous|out of memory",
    re.IGNORECASE,
)
_ORIGIN = "a normal call of a correct implementation raises nothing that its own code hides"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Watch normal calls."""
    dtype = subject.finest_dtype
    cases = [case.under(case.name, watched=True, **case.circumstances) for case in _cases(subject, run.seed)]
    try:
        answers = subject.forward(run, dtype, cases)
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    if answers.observed.keys() != set(range(len(cases))):
        return error("the calls were not watched: nothing was tested")
    found: dict[str, Location | None] = {}
    for index, case in enumerate(cases):
        for event in answers.observed[index]:
            if what := _mistake(event):
                text = f"{what} ({case.name})"
                if not any(each.startswith(what) for each in found):
                    found[text] = _location(event, run)
    measured = Measured(
        value=len(found), bound=0, comparison=Comparison.EQUAL, origin=_ORIGIN, unit="errors that a call hides"
    )
    return judged(
        measured,
        otherwise="; ".join(found),
        location=next(iter(found.values()), None),
        fix="let the exception leave the call, or catch the one that can be explained where it is raised; make "
        "parameters in the constructor",
    )


def _cases(subject: AttentionSubject, seed: int) -> Iterator[Case]:
    generator = subject.generator(seed)
    plain = plain_case(subject, generator)
    yield plain
    if not subject.is_function:
        yield plain.under("train mode", training=True)
    if subject.contract.key_mask:
        whole = plain_case(subject, generator, is_causal=False)
        mask = torch.ones(whole.inputs.shape[0], key_length(whole), dtype=torch.bool)
        mask[0, -1] = False
        yield with_mask(subject, whole, mask, "one key masked")


def _mistake(event: Mapping[str, Plain]) -> str | None:
    """Return what an event tells of a mistake; None of what is no mistake."""
    what, kind = str(event.get("what")), str(event.get("type"))
    place, handler = f"{Path(str(event.get('file'))).name}:{event.get('line')!r}", f"{event.get('handler')!r}"
    match event.get("kind"):
        case "parameter":
            return f"a call makes the parameter {what} at {place}, which no optimizer knows and no training reaches"
        case "logged":
            return f"a normal call logs an error at {place}: {what}"
        case "handled" if kind in _MISTAKES and not _TRIED.search(what):
            return f"{kind} raised at {place} is hidden by the handler around line {handler}: {what}"
    return None


def _location(event: Mapping[str, Plain], run: Run) -> Location | None:
    line = event.get("line")
    return innermost([(str(event.get("file")), line)], run.target) if isinstance(line, int) else None
