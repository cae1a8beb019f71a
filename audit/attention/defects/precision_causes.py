"""What failures in low precision come from."""

from collections.abc import Mapping

from audit.attention.defects.cause import Cause
from audit.attention.subject import AttentionSubject
from audit.attention.traced import cores_of, traces_of
from audit.plan import Run
from audit.results import Result


def of_low(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    """Return what an output in low precision that is too far from that of float32 comes from."""
    if _raised(failed["low_precision"]):
        return Cause(bug=None)
    rotates = subject.contract.rotary_base is not None or _is_rotated(subject, run)
    return Cause(bug="angles" if rotates and "logits_dtype" not in failed else "precision")


def of_long(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    """Return what an output over many keys that is too far from that of the oracle comes from."""
    return Cause(bug=None if _raised(failed["long_sequences"]) else "precision")


def _raised(result: Result) -> bool:
    """Whether a call raised, or returned something else than an output: then nothing was measured."""
    return result.evidence.measured is None


def _is_rotated(subject: AttentionSubject, run: Run) -> bool:
    return any(core.rotated for core in cores_of(traces_of(subject, run, subject.finest_dtype).first))
