"""Triton kernels read and write inside of the tensors that they are given: their addresses are watched on a CPU."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from audit.attention import branching
from audit.attention.branching import TRITON
from audit.attention.cases import oracle_cases, plain_case, with_cotangent
from audit.attention.properties.judging import call_raised
from audit.attention.subject import AttentionSubject, Case
from audit.attention.traced import location_of
from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, judged, not_applicable, skipped
from audit.plan import Run
from audit.replies import list_of, number_of, table_of, text_of
from audit.results import Check, Comparison, Location, Severity
from audit.target import Target

CHECK = Check(
    id="attention.kernel_memory",
    title="Kernels stay inside of their tensors",
    proves="Where Triton interprets the kernels of a call, forward and backward, every address that they read or write "
    "without being masked lies in a tensor that they were given.",
    defect="a store without a mask, which writes beyond the last row",
    severity=Severity.CRITICAL,
)
_FIX = "mask loads and stores by the number of rows and of features, or let the block divide them"
_NONE = "no kernel of Triton was interpreted"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Call it in the cases of the oracle, forward and backward, with what kernels address watched."""
    try:
        interprets = not run.target.on_gpu and bool(_asked(subject, run, []).get("interprets"))
        survey = None if interprets else _survey(subject, run)
        if survey and TRITON not in survey.libraries:
            return not_applicable(_NONE)
        if survey and TRITON in survey.absent:
            return skipped("its kernels need Triton, which is not installed here")
        if run.target.on_gpu:
            return skipped("what compiled kernels address is not seen; Triton interprets them on a CPU")
        kernels = _on_branches(subject, run, survey) if survey else _asked(subject, run, _calls(subject, run))
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    launches = table_of(kernels, "launches") if kernels else {}
    if not launches and survey and not subject.is_declared:
        return skipped("its kernel was never called, whatever option was chosen")
    if not launches:
        return not_applicable(_NONE)
    if number_of(kernels, "unknown") and not number_of(kernels, "elements"):
        return skipped("kernels address what they find in memory, and not only what they are given")
    measured = Measured(
        value=int(number_of(kernels, "elements")),
        bound=0,
        comparison=Comparison.EQUAL,
        origin="what a kernel is given is all that it may address; each tensor stands between guards; launches: "
        + ", ".join(f"{number_of(launches, name):g} of {name}" for name in launches),
        unit="elements addressed outside",
    )
    outside = [each for each in list_of(kernels, "outside") if isinstance(each, dict)]
    said = "; ".join(dict.fromkeys(map(_said, outside)))
    judgement = judged(measured, otherwise=said or "kernels address what they were not given", fix=_FIX)
    return replace(judgement, location=_place(outside[0], run.target)) if outside else judgement


def _survey(subject: AttentionSubject, run: Run) -> branching.Survey:
    return branching.surveyed(subject, run, subject.finest_dtype, plain_case(subject, subject.generator(run.seed)))


def _calls(subject: AttentionSubject, run: Run) -> list[tuple[str, Case]]:
    generator = subject.generator(run.seed)
    cases = oracle_cases(subject, generator)
    calls = [("forward", case) for case in cases]
    # Interpreted kernels are slow, and what is masked forward is masked by the same numbers backward.
    calls += [("backward", with_cotangent(cases[index], generator)) for index in sorted({0, len(cases) - 1})]
    if subject.decodes:
        one_by_one: list[Plain] = [1] * cases[0].inputs.shape[1]
        calls.append(("decode", cases[0].under("one by one", chunks=one_by_one)))
    return calls


def _asked(subject: AttentionSubject, run: Run, calls: Sequence[tuple[str, Case]]) -> Mapping[str, Plain]:
    """Return what the probe saw of the kernels in these calls."""
    return subject.ask(run, subject.finest_dtype, calls, procedure="attention_kernels").kernels


def _on_branches(subject: AttentionSubject, run: Run, survey: branching.Survey) -> Mapping[str, Plain]:
    """Return the same of the first branch that launches a kernel, in a process where Triton interprets; else nothing.

    Raises:
        TargetRaised: what the last branch raised, where none launches one.
    """
    calls, raised = _calls(subject, run), None
    for cuda in (True, False) if survey.cuda else (False,):
        there = replace(run, probe=run.probe.beside(f"{TRITON}, cuda {cuda}"))
        for way in branching.ways_of(survey, TRITON):
            forced: dict[str, Plain] = {"library": TRITON, "accepts_float32": True, "cuda": cuda, **way.forced}
            try:
                kernels = _asked(replace(way, forced=forced).of(subject), there, calls)
            except TargetRaised as told:
                raised = told
                continue
            if kernels.get("launches"):
                return kernels
    if raised:
        raise raised
    return {}


def _said(outside: Mapping[str, Plain]) -> str:
    kernel, operation, tensor, side = (text_of(outside, key) for key in ("kernel", "operation", "tensor", "side"))
    return f"{kernel} {operation} {side} {tensor or 'a tensor'}"


def _place(outside: Mapping[str, Plain], target: Target) -> Location | None:
    return location_of(((text_of(outside, "path"), int(number_of(outside, "line"))),), target)
