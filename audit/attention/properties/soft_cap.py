"""Logits are held below the declared cap."""

from audit.attention.properties.traced_judging import judge_cores
from audit.attention.subject import AttentionSubject
from audit.attention.traced import Core, cores_of, traces_of, untold
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.soft_cap",
    title="Logits are capped as declared",
    proves="Between the product of queries and keys and the softmax stands cap * tanh(logit / cap) with the declared "
    "cap, or that of an argument of this name.",
    defect="a hyperbolic tangent that is not multiplied by the cap",
    severity=Severity.CRITICAL,
)
_SAME = 1e-3  # relative


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare the factor behind the hyperbolic tangent with the cap, and all factors with the scale."""
    cap = subject.contract.soft_cap
    if cap is None:
        return not_applicable("no cap of the logits is declared")
    cores = cores_of(traces_of(subject, run, subject.finest_dtype).first)
    capped = [core for core in cores if core.soft_cap is not None]
    if not capped:
        if subject.is_declared or "cap unread" in subject.claims:
            wrong = [(core, "the logits are not capped" + subject.claim("soft_cap", "cap unread")) for core in cores]
            return _judged(wrong, cores, run, cap)
        return untold(subject, "no cap was seen between the product and the softmax")
    wrong = [(core, reason + subject.claim("soft_cap")) for core in capped if (reason := _trouble(subject, core, cap))]
    return _judged(wrong, capped, run, cap)


def _trouble(subject: AttentionSubject, core: Core, cap: float) -> str | None:
    assert core.soft_cap is not None
    if abs(core.soft_cap - cap) > _SAME * cap:
        return f"the hyperbolic tangent of the logits is multiplied by {core.soft_cap:.4g}, where the cap is {cap:.4g}"
    if core.scale is None or not core.head_dim or core.normalised:
        return None
    wanted = core.head_dim**-0.5 if subject.contract.scale is None else subject.contract.scale
    if subject.is_declared and abs(core.scale - wanted) > _SAME * abs(wanted):
        return f"small logits are scaled by {core.scale:.4g} through the cap, where {wanted:.4g} is declared"
    return None


def _judged(wrong: list[tuple[Core, str]], told: list[Core] | tuple[Core, ...], run: Run, cap: float) -> Judgement:
    fix = "cap the scaled logits before the mask: cap * tanh(logits / cap)"
    return judge_cores(wrong, told, run, origin=f"a cap of {cap:.4g} on every logit", fix=fix)
