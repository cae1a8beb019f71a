"""Writes implementations of the corpus, edited or not, and judges them, all in one process of the target."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.attention.guessed import guessed_groups
from audit.attention.named import item_named
from audit.attention.plan import plan_attention
from audit.collected import Collected
from audit.execute import open_probe
from audit.gateway import Probe
from audit.judgement import Judgement
from audit.named import Named
from audit.plan import Group, Run
from audit.results import Outcome
from audit.target import Target

from .corpus import Correct, Mutant

FOLDER = Path(__file__).parents[2] / "fixtures" / "attention" / "corpus"
UNCHANGED = "unchanged"
_SPECS = "specs"


def text_of(style: str) -> str:
    return (FOLDER / f"{style}.py").read_text()


def edited(mutant: Mutant) -> str:
    text = text_of(mutant.of.style)
    assert text.count(mutant.before) == 1, f"{mutant.name}: {text.count(mutant.before)} x {mutant.before!r}"
    changed = text.replace(mutant.before, mutant.after)
    assert changed != text
    return changed


@dataclass(frozen=True)
class Variant:
    """An implementation as it is (`unchanged`) or after one edit."""

    name: str
    of: Correct


class JudgedCorpus:
    """Every variant, with a process in which they are judged one after another."""

    def __init__(self, root: Path, correct: Sequence[Correct], mutants: Sequence[Mutant]) -> None:
        found, declared = root / "found", root / "declared"
        variants = [(Variant(UNCHANGED, of), text_of(of.style)) for of in correct]
        variants += [(Variant(mutant.name, mutant.of), edited(mutant)) for mutant in mutants]
        for variant, text in variants:
            folder = (declared / "zoo" if variant.of.declared else found) / f"{variant.of.style}_{variant.name}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{variant.of.style}.py").write_text(text)
            if variant.of.declared:
                (folder / "__init__.py").write_text("")
                (folder / "specs.py").write_text(text_of(f"{variant.of.style}_specs"))
        folders = sorted({f"{v.of.style}_{v.name}" for v, _ in variants if v.of.declared})
        self._groups: dict[Variant, Group] = {}
        self._targets: dict[bool, Target] = {}
        self._probes: dict[bool, Probe] = {}
        named = [variant for variant, _ in variants if not variant.of.declared]
        if named:
            self._targets[False] = target = Target.load_tree(found)
            collected = Collected(target)
            items = [
                item_named(collected, Named(found / f"{v.of.style}_{v.name}" / f"{v.of.style}.py", v.of.name))
                for v in named
            ]
            self._groups |= dict(zip(named, guessed_groups(collected, items), strict=True))
            collected.close()
        if folders:
            package = declared / "zoo"
            (package / "__init__.py").write_text("")
            lines = [f"from .{name}.specs import ATTENTION as {name}\n" for name in folders]
            entries = ", ".join(f"**{{f'{name} {{key}}': entry for key, entry in {name}.items()}}" for name in folders)
            (package / "specs.py").write_text("".join(lines) + f"MODELS = {{}}\nATTENTION = {{{entries}}}\n")
            (declared / "pyproject.toml").write_text(
                '[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\ntimeout_s = 30\nworkers = 1\n'
            )
            self._targets[True] = target = Target.load(declared)
            collected = Collected(target)
            by_name = {group.subject.name: group for group in plan_attention(collected)}
            collected.close()
            for variant, _ in variants:
                if variant.of.declared:
                    self._groups[variant] = by_name[f"{variant.of.style}_{variant.name} {variant.of.name}"]

    def checks(self, variant: Variant) -> list[str]:
        return [planned.check.id for planned in self._groups[variant].planned]

    def judge(self, variant: Variant, *checks: str, until_failed: bool = False) -> dict[str, list[Judgement]]:
        """Return the judgements of these checks, or of all, on one variant; a found one has to be built first.

        With `until_failed`, those after the first that failed are left out.
        """
        target = self._targets[variant.of.declared]
        if variant.of.declared not in self._probes:
            self._probes[variant.of.declared] = open_probe(target)
        run = Run(target=target, probe=self._probes[variant.of.declared], seed=0)
        judged: dict[str, list[Judgement]] = {}
        for planned in self._groups[variant].planned:
            if checks and planned.check.id not in (*checks, "attention.built"):
                continue
            judgement = planned.judge(run)
            judged[planned.check.id] = [judgement] if isinstance(judgement, Judgement) else list(judgement)
            outcomes = {each.outcome for each in judged[planned.check.id]}
            if planned.check.id == "attention.built" and outcomes != {Outcome.PASSED}:
                break
            if until_failed and Outcome.FAILED in outcomes:
                break
        return judged

    def groups(self) -> Iterator[tuple[Target, list[Group]]]:
        """Yield each target with what is planned on it."""
        for declared, target in self._targets.items():
            yield target, [group for variant, group in self._groups.items() if variant.of.declared is declared]

    def close(self) -> None:
        for probe in self._probes.values():
            probe.close()


def failing(judged: dict[str, list[Judgement]]) -> list[str]:
    return [check for check, each in judged.items() if any(one.outcome is Outcome.FAILED for one in each)]
