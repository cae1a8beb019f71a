"""Queries attend over the positions of their own sample, not over batch or heads, and not to one key alone."""

from audit.attention.properties.traced_judging import judge_cores
from audit.attention.subject import LENGTH, AttentionSubject
from audit.attention.traced import Core, cores_of, traces_of, untold
from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.attended_axis",
    title="Attention runs over the positions",
    proves="The keys that one query meets are several, and belong to several positions of one sample; measured by "
    "changing one sample and one position of the input at a time.",
    defect="heads split off without moving their axis, so that heads attend to each other",
    severity=Severity.CRITICAL,
)
_WORDS = {
    "batch": "a query attends over the samples of the batch, at one position",
    "heads": "a query attends over the heads, at its own position",
    "one key": "a query meets one key, whose weight is 1 whatever it is, so that queries and keys have no effect",
}
_FIX = "move the axis of the heads before that of the positions: (B, L, H, D) to (B, H, L, D)"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Look at what the keys of a query belong to."""
    cores = cores_of(traces_of(subject, run, subject.finest_dtype).first)
    told = [core for core in cores if core.attended is not None]
    if not told:
        return untold(subject, "what the keys of a query belong to was not told")
    elsewhere = [core for core in told if core.attended in _WORDS]
    # Where some of it attends over positions, as in axial attention, the rest does otherwise on purpose.
    mixed = len(elsewhere) < len(told)
    if not mixed and not subject.is_declared and all(core.attended == "batch" for core in elsewhere):
        return untold(subject, "a query attends over the first axis: the input may be meant as (L, B, E)")
    facts = [_fact(core) for core in elsewhere if mixed and core.attended != "one key"]
    wrong = [] if mixed else [(core, _WORDS[core.attended or ""]) for core in elsewhere]
    return judge_cores(
        wrong,
        told,
        run,
        origin=f"an input of {LENGTH} positions is attended to over these",
        fix=_FIX,
        facts="; ".join(dict.fromkeys(facts)),
    )


def _fact(core: Core) -> str:
    return f"{core.where}: {_WORDS[core.attended or '']}"
