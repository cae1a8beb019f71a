"""Query heads use the key and value heads that they are declared to."""

from collections.abc import Sequence
from typing import Literal

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
    found = [(same[0], _grouping(same, "met"), _grouping(same, "value_met")) for same in _at_one_place(cores)]
    told = [(core, keys, values) for core, keys, values in found if keys and 1 < len(set(keys)) < len(keys)]
    if not told:
        if any(core.heads and core.kv_heads and 1 < core.kv_heads < core.heads for core in cores):
            return untold(subject, "which query head meets which key head could not be measured")
        return not_applicable("no group of query heads shares one of several key heads")
    wrong: list[tuple[Core, str]] = []
    facts = ""
    for core, keys, values in told:
        if values and values != keys:
            wrong.append((core, f"keys are grouped {_text(keys)} and values {_text(values)}"))
        elif (name := _name(keys)) != subject.contract.head_grouping:
            reason = f"key heads are {name}, {_text(keys)}, not {subject.contract.head_grouping}"
            reason += subject.claim("head_grouping")
            wrong += [(core, reason)] if subject.is_declared or "head_grouping" in subject.claims else []
            facts = f"{core.where}: {reason}"
    return judge_cores(
        wrong,
        [core for core, _, _ in told],
        run,
        origin="the contract's head grouping, and one grouping for keys and values",
        fix="repeat key and value heads with `repeat_interleave`, or declare `head_grouping`",
        facts=facts,
    )


def _at_one_place(cores: Sequence[Core]) -> list[list[Core]]:
    """Return the computations in groups of those that one line of one module carries out, as in a loop over heads."""
    groups: dict[object, list[Core]] = {}
    for core in cores:
        groups.setdefault((core.owner, core.frames), []).append(core)
    return list(groups.values())


def _grouping(cores: Sequence[Core], side: Literal["met", "value_met"]) -> list[int]:
    """Return for each query head the number of the key head that it meets; nothing where that is not one each."""
    pairs = sorted({pair for core in cores for pair in getattr(core, side) or ()})
    heads = [head for head, _ in pairs]
    if len(set(heads)) != len(heads):
        return []
    numbers = {group: number for number, group in enumerate(sorted({group for _, group in pairs}))}
    return [numbers[group] for _, group in pairs]


def _name(grouping: Sequence[int]) -> str:
    heads, kv_heads = len(grouping), len(set(grouping))
    if heads % kv_heads == 0 and list(grouping) == [head // (heads // kv_heads) for head in range(heads)]:
        return "interleaved"
    return "tiled" if list(grouping) == [head % kv_heads for head in range(heads)] else "in another order"


def _text(grouping: Sequence[int]) -> str:
    return " ".join(map(str, grouping))
