"""Query heads use the key and value heads that they are declared to."""

from collections.abc import Sequence

from audit.attention.properties.traced_judging import judge_cores
from audit.attention.subject import AttentionSubject
from audit.attention.traced import Core, cores_of, traces_of, untold
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.head_grouping",
    title="Heads are grouped as declared",
    proves="Each query head, in the order of the projection's features, meets the key head and the value head that the "
    "contract gives it; measured by changing one head at a time.",
    defect="key heads tiled, 0 1 0 1, where the contract has them interleaved, 0 0 1 1",
    severity=Severity.CRITICAL,
)


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare which key head each query head meets with the contract."""
    cores = cores_of(traces_of(subject, run, subject.finest_dtype).first)
    shared = [core for core in cores if core.heads and core.kv_heads and 1 < core.kv_heads < core.heads]
    if not shared:
        return not_applicable("no group of query heads shares one of several key heads")
    told = [core for core in shared if core.grouping]
    if not told:
        return untold(subject, "which query head meets which key head could not be measured")
    wrong: list[tuple[Core, str]] = []
    facts = ""
    for core in told:
        assert core.grouping is not None
        if core.value_grouping and core.value_grouping != core.grouping:
            wrong.append((core, f"keys are grouped {_text(core.grouping)} and values {_text(core.value_grouping)}"))
            continue
        found = _name(core.grouping)
        if found != subject.contract.head_grouping:
            reason = f"key heads are {found}, {_text(core.grouping)}, not {subject.contract.head_grouping}"
            if subject.is_declared:
                wrong.append((core, reason))
            else:
                facts = f"{core.where}: {reason}"
    return judge_cores(
        wrong,
        told,
        run,
        origin="the contract's head grouping, and one grouping for keys and values",
        fix="repeat key and value heads with `repeat_interleave`, or declare `head_grouping`",
        facts=facts,
    )


def _name(grouping: Sequence[int]) -> str:
    heads, kv_heads = len(grouping), len(set(grouping))
    if heads % kv_heads == 0 and list(grouping) == [head // (heads // kv_heads) for head in range(heads)]:
        return "interleaved"
    return "tiled" if list(grouping) == [head % kv_heads for head in range(heads)] else "in another order"


def _text(grouping: Sequence[int]) -> str:
    return " ".join(map(str, grouping))
