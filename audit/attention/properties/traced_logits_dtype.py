"""Logits and softmax are not rounded to a dtype narrower than that of the call."""

from audit.attention.properties.traced_judging import judge_cores
from audit.attention.subject import DTYPES, AttentionSubject
from audit.attention.traced import Core, cores_of, traces_of, untold
from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.logits_dtype",
    title="Logits keep the precision of the call",
    proves="In every declared dtype, no logit and no weight is rounded to a narrower one before the product with the "
    "values.",
    defect="logits in float32 that are rounded to float16 for the softmax",
    severity=Severity.MAJOR,
)
_BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare the dtypes of logits and softmax with that of the call."""
    told: list[Core] = []
    wrong: list[tuple[Core, str]] = []
    facts: list[str] = []
    for dtype in subject.contract.dtypes:
        for core in cores_of(traces_of(subject, run, dtype).first):
            found = [each for each in (core.logits_dtype, core.softmax_dtype) if each in _BITS]
            if not found:
                continue
            told.append(core)
            narrowest = min(found, key=_BITS.__getitem__)
            if _BITS[narrowest] < _BITS[dtype]:
                wrong.append((core, f"called in {dtype}, the logits are {narrowest}"))
            elif core.softmax_dtype == dtype and DTYPES[dtype].itemsize < 4:
                facts.append(f"called in {dtype}, {core.where} takes its softmax in {dtype} too")
    if not told:
        return untold(subject, "the dtype of the logits was not told")
    return judge_cores(
        wrong,
        told,
        run,
        origin="the caller's dtype says how exact the result is to be",
        fix="keep the logits in the dtype of the call, or take the softmax in float32",
        facts="; ".join(dict.fromkeys(facts)),
    )
