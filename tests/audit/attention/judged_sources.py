"""Judges classes and functions of sources that a test writes, as they are found: without specs."""

from collections.abc import Mapping
from pathlib import Path

from audit.attention.guessed import guessed_groups
from audit.attention.named import item_named
from audit.collected import Collected
from audit.execute import open_probe
from audit.judgement import Judgement
from audit.named import Named
from audit.plan import Run
from audit.results import Outcome
from audit.target import Target, available_cores


class JudgedSources:
    """Files by their names, each with the class or function that is judged, in one process of the target."""

    def __init__(self, root: Path, sources: Mapping[str, tuple[str, str]]) -> None:
        for name, (text, _) in sources.items():
            (root / f"{name}.py").write_text(text)
        self._target = Target.load_tree(root)
        collected = Collected(self._target)
        items = [item_named(collected, Named(root / f"{name}.py", judged)) for name, (_, judged) in sources.items()]
        self._groups = dict(zip(sources, guessed_groups(collected, items), strict=True))
        collected.close()
        self._probe = open_probe(self._target, side_by_side=available_cores())

    def judge(self, name: str, *checks: str) -> dict[str, list[Judgement]]:
        """Return the judgements of these checks, or of all, each of which must make a valid result."""
        run = Run(target=self._target, probe=self._probe, seed=0)
        wanted = {"attention.built", *(f"attention.{check}" for check in checks)}
        found: dict[str, list[Judgement]] = {}
        for planned in self._groups[name].planned:
            if checks and planned.check.id not in wanted:
                continue
            judgement = planned.judge(run)
            many = [judgement] if isinstance(judgement, Judgement) else list(judgement)
            for each in many:
                each.result(planned.check, planned.subject, seed=0, duration_s=None, reproduce="")
            found[planned.check.id.removeprefix("attention.")] = many
            if planned.check.id == "attention.built":
                assert [each.outcome for each in many] == [Outcome.PASSED], many
        return found

    def close(self) -> None:
        self._probe.close()
