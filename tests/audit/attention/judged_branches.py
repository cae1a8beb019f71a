"""Writes implementations with several branches, edited or not, and judges that these agree."""

from dataclasses import dataclass
from pathlib import Path

from audit.attention.contract import Contract
from audit.attention.found import find, source_of
from audit.attention.guessed import guessed_groups
from audit.attention.named import item_named
from audit.attention.properties.branches import judge_branches
from audit.attention.subject import AttentionSubject
from audit.collected import Collected
from audit.execute import open_probe
from audit.judgement import Judgement
from audit.named import Named
from audit.plan import Run
from audit.results import Outcome
from audit.target import Target

FOLDER = Path(__file__).parents[2] / "fixtures" / "attention" / "branches"
CHECK = "attention.branches"


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One edit of a file: `before`, which is there once, becomes `after`."""

    name: str
    style: str
    before: str
    after: str


def edited(edit: Edit) -> str:
    text = (FOLDER / f"{edit.style}.py").read_text()
    assert text.count(edit.before) == 1, f"{edit.name}: {text.count(edit.before)} x {edit.before!r}"
    return text.replace(edit.before, edit.after)


def judged_with_library(folder: Path, text: str, name: str, library: str, its_text: str) -> list[Judgement]:
    """Judge as `judged` does where this library is installed and called itself, as on a GPU."""
    path = folder / "subject.py"
    path.write_text(text)
    target = Target.load_tree(folder)
    with open_probe(target) as probe:
        run = Run(target=target, probe=probe, seed=0)
        found = find(probe, path, name, seed=0)
        (folder / f"{library}.py").write_text(its_text)
        return [
            judge_branches(
                AttentionSubject(
                    name=name,
                    source=source_of(path, name, way),
                    contract=Contract.model_validate(way.contract),
                    declared=found.declared,
                    is_function=False,
                    decodes=way.decodes,
                    is_declared=False,
                    option=way.name,
                    claims=way.claims,
                ),
                run,
                real=True,
            )
            for way in found.subjects
        ]


def judged(folder: Path, text: str, name: str, *, check: str = CHECK) -> list[Judgement]:
    """Carry a check out on the class of this name in a file of this text, in every way in which it is built."""
    path = folder / "subject.py"
    path.write_text(text)
    target = Target.load_tree(folder)
    collected = Collected(target)
    try:
        (group,) = guessed_groups(collected, [item_named(collected, Named(path, name))])
    finally:
        collected.close()
    found: list[Judgement] = []
    with open_probe(target) as probe:
        run = Run(target=target, probe=probe, seed=0)
        for planned in group.planned:
            if planned.check.id in ("attention.built", check):
                judgement = planned.judge(run)
                each = [judgement] if isinstance(judgement, Judgement) else list(judgement)
                if planned.check.id == check:
                    found += each
                else:
                    assert [one.outcome for one in each] == [Outcome.PASSED], each
    assert found
    return found
