from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from audit.attention.answers import Settled
from audit.attention.contract import Contract
from audit.attention.plan import plan_attention
from audit.attention.properties import PROPERTIES
from audit.attention.subject import AttentionSubject
from audit.collected import Collected
from audit.execute import open_probe
from audit.judgement import Judgement
from audit.plan import PlannedCheck, Run
from audit.results import SubjectKind
from audit.target import Target, available_cores


class Audited:
    """A package whose attention checks can be carried out one by one, under any seed, in one process."""

    def __init__(self, target: Target, planned: dict[tuple[str, str], PlannedCheck]) -> None:
        self._target = target
        self._planned = planned
        self.probe = open_probe(target, side_by_side=available_cores())

    @property
    def subjects(self) -> list[str]:
        return sorted({name for name, check in self._planned if check != "attention.declared"})

    def judge(self, subject: str, *, seed: int = 0, only: str | None = None) -> dict[str, Judgement]:
        """The judgement of every check of one subject, or of one; each must make a valid result."""
        found: dict[str, Judgement] = {}
        for (name, check), planned in self._planned.items():
            if name == subject and only in (None, check):
                judgement = planned.judge(Run(target=self._target, probe=self.probe, seed=seed))
                assert isinstance(judgement, Judgement)
                judgement.result(planned.check, planned.subject, seed=seed, duration_s=None, reproduce="")
                found[check] = judgement
        assert found, f"no subject {subject}"
        return found

    def judge_found(
        self, subject: str, *, seed: int = 0, decodes: bool = False, **contract: object
    ) -> dict[str, Judgement]:
        """The judgement of every property of one subject as if no specs had declared it, but with this contract."""
        planned = next(planned for (name, _), planned in self._planned.items() if name == subject)
        of = planned.subject
        attention = AttentionSubject(
            name=subject,
            source={"kind": "spec", "specs": self._target.settings.specs, "name": subject},
            contract=Contract.model_validate(contract),
            declared=f"{of.module}:{of.qualname}",
            is_function=of.kind is SubjectKind.KERNEL,
            decodes=decodes,
            is_declared=False,
        )
        found: dict[str, Judgement] = {}
        for prop in PROPERTIES:
            try:
                judgement = prop.judge(attention, Run(target=self._target, probe=self.probe, seed=seed))
            except Settled as settled:
                judgement = settled.judgement
            judgement.result(prop.check, of, seed=seed, duration_s=None, reproduce="")
            found[prop.check.id.removeprefix("attention.")] = judgement
        return found


Audit = Callable[[Path], Audited]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tensors of a few hundred elements gain nothing from threads, which the target's process would contend with."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def audit_of() -> Iterator[Audit]:
    """Plans the attention checks of a package and starts one process that carries them out."""
    with ExitStack() as stack:

        def opened(folder: Path) -> Audited:
            target = Target.load(folder)
            collected = Collected(target)
            planned = {(p.subject.name, p.check.id): p for group in plan_attention(collected) for p in group.planned}
            collected.close()
            audited = Audited(target, planned)
            stack.callback(audited.probe.close)
            return audited

        yield opened
