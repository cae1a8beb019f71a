"""The factor on the logits is the declared one, or without a declaration none of the usual mistakes."""

import math
from collections.abc import Iterator

from audit.attention.properties.traced_judging import judge_cores
from audit.attention.subject import SHORT, AttentionSubject
from audit.attention.traced import BATCH, Core, cores_of, traces_of, untold
from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.scale",
    title="Logits are scaled as declared",
    proves="The factor between the product of queries and keys and the logits, followed through every operation on "
    "either side of the product, is the declared one; where none is declared, it is not one that comes of taking the "
    "wrong size or the inverse.",
    defect="logits divided by sqrt(embed_dim) instead of sqrt(head_dim)",
    severity=Severity.CRITICAL,
)
_SAME = 1e-3  # relative; the factor is read from numbers in the code and from float32 sums
_ORIGIN = f"the factor must be within {_SAME:g} of the declared one, and undeclared no usual mistake"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare the factor that was followed with the declared one, or with those that mistakes lead to."""
    traces = traces_of(subject, run, subject.finest_dtype)
    cores, second = cores_of(traces.first), traces.second.cores if traces.second else ()
    known = [(at, core) for at, core in enumerate(cores) if core.factor is not None and core.head_dim and _can_be(core)]
    read = {at: _reading(subject, core, second[at] if len(second) == len(cores) else None) for at, core in known}
    # Of logits that are mixed afterwards a wrong size tells, and nothing else does.
    told = [(at, core) for at, core in known if core.scale is not None or read[at][0]]
    if not told:
        return untold(subject, "; ".join(dict.fromkeys(_why(core) for core in cores)))
    wrong, facts = [], []
    for at, core in told:
        reason, fact = read[at]
        wrong += [(core, reason)] if reason else []
        facts += [fact] if fact else []
    fix = "scale by 1/sqrt(head_dim), the size that is added up in the product, or declare the scale"
    listed = "; ".join(dict.fromkeys(facts))
    return judge_cores(wrong, [core for _, core in told], run, origin=_ORIGIN, fix=fix, facts=listed)


def _can_be(core: Core) -> bool:
    """Whether a scale means anything: that of queries and keys of length one is free."""
    return not core.normalised


def _why(core: Core) -> str:
    if core.normalised:
        return "queries or keys are normalised, so that the factor on their product is free"
    return f"the factor on the logits is not one known number: {core.scale_why or 'its sizes are unknown'}"


def _reading(subject: AttentionSubject, core: Core, other: Core | None) -> tuple[str, str]:
    """Return what is wrong with the scale, and what is unusual about it; both may be empty."""
    scale = core.factor
    assert scale is not None
    assert core.head_dim is not None
    usual = core.head_dim**-0.5
    contract = subject.contract
    if core.scale is not None and (subject.is_declared or contract.scale is not None):
        wanted = usual if contract.scale is None else contract.scale
        if _same(scale, wanted):
            return "", ""
        reason = f"the logits are scaled by {scale:.4g} where {wanted:.4g} is declared" + subject.claim("scale")
        names = [name for name, value, _ in _mistakes(subject, core) if _same(scale, value)]
        if is_applied_twice(core, wanted):  # sizes may give the same number
            names = ["the declared scale, applied twice"]
        mistake = next(iter(names), None)
        return reason + (f"; that is {mistake}" if mistake else ""), ""
    if _same(scale, usual) or (contract.scale is not None and _same(scale, contract.scale)):
        return "", ""
    # Where the size that is added up changes with the input, features attend to each other, on purpose.
    if other is None:  # it takes one length only; then sizes of its own tell, and not those of the input
        is_usual = contract.head_dim == core.head_dim
    else:
        is_usual = other.factor is not None and other.head_dim == core.head_dim
    for name, value, elsewhere in _mistakes(subject, core) if is_usual else ():
        if other is None and value != elsewhere:  # of the length, or of the batch
            continue
        if _same(scale, value) and (other is None or (other.factor is not None and _same(other.factor, elsewhere))):
            return f"the logits are scaled by {scale:.4g} = {name}, not by 1/sqrt(head_dim) = {usual:.4g}", ""
    if core.scale is None:
        return "", ""
    if against := _against_claims(subject, core, usual):
        return against, ""
    named = "no scale" if _same(scale, 1.0) else f"scale {scale:.4g}"
    return "", f"{named}, {scale / usual:.3g} times 1/sqrt(head_dim)"


def _against_claims(subject: AttentionSubject, core: Core, usual: float) -> str | None:
    """Return what is wrong with the scale of a mechanism that was found, given what its source says of it."""
    assert core.scale is not None
    if _same(usual, 1.0):
        return None
    if _same(core.scale, usual * usual):
        if is_applied_twice(core, usual):
            return (
                f"the logits are scaled by {core.scale:.4g}: the factor 1/sqrt(head_dim) = {usual:.4g} is applied twice"
            )
        if "root" in subject.claims:
            return (
                f"the logits are scaled by {core.scale:.4g} = 1/head_dim, not by its root, {usual:.4g}"
                + subject.claim("root")
            )
    if _same(core.scale, 1.0) and "scale" in subject.claims and (core.heads or subject.contract.num_heads or 1) > 1:
        return "the logits are not scaled" + subject.claim("scale")
    return None


def _mistakes(subject: AttentionSubject, core: Core) -> Iterator[tuple[str, float, float]]:
    """Yield each usual mistake with the scale that it leads to in the first and in the second forward."""
    assert core.head_dim is not None
    heads = core.heads or subject.contract.num_heads
    width = subject.contract.embed_dim or (heads * core.head_dim if heads else None)
    # One head that is narrower than the input is no part of it, so that neither width is the wrong one.
    split = subject.is_declared or max(core.heads or 0, subject.contract.num_heads or 0) != 1
    for name, size in (("embed_dim", width if split else None), ("num_heads", heads)):
        if size and size > 1 and size != core.head_dim:
            yield f"1/sqrt({name})", size**-0.5, size**-0.5
    yield "sqrt(head_dim), the inverse", math.sqrt(core.head_dim), math.sqrt(core.head_dim)
    if core.keys and core.keys > 1:
        yield "1/sqrt(length)", core.keys**-0.5, SHORT**-0.5
    yield "1/sqrt(batch size)", BATCH**-0.5, (BATCH + 1) ** -0.5


def is_applied_twice(core: Core, wanted: float) -> bool:
    """Whether a trace has seen the logits multiplied with a scale twice."""
    is_square = core.factor is not None and _same(core.factor, wanted**2)
    return is_square and sum(_same(factor, wanted) for factor in core.factors) == 2


def _same(scale: float, wanted: float) -> bool:
    return abs(scale - wanted) <= _SAME * abs(wanted)
