"""Results of earlier runs of one plan, so that a part that was cut short goes on where it was."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from audit.kept import KeptResults
from audit.parts.document import PlanDocument
from audit.plan import Group, PlanKey
from audit.target import Target


class KeptOfPlan(KeptResults):
    """Results by group of a plan: a file for each, which holds for this plan alone."""

    def __init__(self, target: Target, content: str, plan: PlanDocument, *, folder: Path | None = None) -> None:
        """Open the folder; `content` is a digest of the target's files."""
        super().__init__(target, content, folder=folder)
        self._plan = plan.digest
        self._names: Mapping[PlanKey, str] = {instance.key: instance.group for instance in plan.instances}

    def lasts(self, group: Group) -> bool:
        """Return True: of one plan in a clean checkout of one commit nothing changes between two runs."""
        return True

    def _path(self, group: Group) -> Path:
        place = f"\0{group.device_seen}" if group.device_seen else ""
        text = f"{self._base}\0{self._plan}\0{self._names[group.planned[0].key]}{place}"
        return self._folder / f"{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:40]}.json"


def kept_of(target: Target, content: str, plan: PlanDocument) -> KeptOfPlan | None:
    """Return what is kept of a plan; None where its commit does not say all that its checks may read."""
    return KeptOfPlan(target, content, plan) if plan.planned_from.dirty is False else None
