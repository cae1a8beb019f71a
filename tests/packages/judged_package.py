"""Judges the attention of an installed package: what its inventory calls attention and what its names do."""

import ast
import importlib.util
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from audit.attention.guessed import guessed_groups
from audit.attention.named import attention_of, item_named
from audit.collected import Collected
from audit.execute import open_probe
from audit.gateway import Probe
from audit.judgement import Judgement
from audit.named import Named
from audit.plan import Group, Run
from audit.results import Outcome
from audit.target import Target, available_cores

_NAMED = re.compile(r"(Attention|Attn)(\d[dD])?$|^Attend$")


@dataclass
class Judged:
    """What came of one class or function. `problem` says why it was not called; `wrong` and `open_` are reasons."""

    name: str
    problem: str | None = None
    ways: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    open_: list[str] = field(default_factory=list)


def folder_of(package: str) -> Path | None:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def groups_of(folder: Path, patterns: Sequence[str], *, cache: bool = False) -> tuple[Target, list[Group]]:
    """Return the checks of all attention in the files of a package that the patterns name."""
    named = {path for pattern in patterns for path in folder.glob(pattern)}
    paths = sorted({path for each in named for path in (each.rglob("*.py") if each.is_dir() else [each])})
    assert paths, f"no file of {folder} is one of {patterns}"
    target = Target.load_tree(folder.parent).limited_to(paths)
    collected = Collected(target, cache=cache)
    try:
        items = {(item.path, item.qualname): item for item in attention_of(collected)}
        for path in paths:
            for node in ast.parse(path.read_bytes()).body:
                if isinstance(node, ast.ClassDef) and _NAMED.search(node.name):
                    item = item_named(collected, Named(path, node.name))
                    items.setdefault((item.path, item.qualname), item)
        return target, list(guessed_groups(collected, [items[key] for key in sorted(items)]))
    finally:
        collected.close()


@contextmanager
def process_for(target: Target) -> Iterator[Run]:
    """Start one process of the target, which judges all: importing the package takes longer than judging a class."""
    probe: Probe = open_probe(target, side_by_side=available_cores())
    try:
        yield Run(target=target, probe=probe, seed=0)
    finally:
        probe.close()


def judged(group: Group, run: Run) -> Judged:
    """Carry out every check of one class or function."""
    subject = group.subject
    found = Judged(f"{subject.path}::{subject.qualname}")
    for planned in group.planned:
        answer = planned.judge(run)
        answers = [answer] if isinstance(answer, Judgement) else list(answer)
        if planned.check.id == "attention.built":
            if answers[0].outcome is not Outcome.PASSED:
                found.problem = str(answers[0].reason)
                break
            measured = answers[0].measured
            assert measured is not None
            assert isinstance(measured.value, int)
            found.ways = measured.value
            continue
        for each in answers:
            found.counts[each.outcome.value] += 1
            way = each.subject.qualname if each.subject else subject.qualname
            text = f"{way}: {planned.check.id}: {each.reason}"
            if each.outcome is Outcome.FAILED:
                found.wrong.append(text)
            elif each.outcome in (Outcome.ERROR, Outcome.SKIPPED):
                found.open_.append(text)
    return found
