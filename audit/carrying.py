"""What a run needs of whatever carries out a plan, and of a part of a plan that was written down."""

from typing import TYPE_CHECKING, Protocol

from audit.execute import Notify
from audit.gateway import Probe
from audit.plan import Plan, PlanKey
from audit.report.document import Machine, Part
from audit.results import Defect, Result
from audit.target import Target

if TYPE_CHECKING:
    from audit.collected import Collected


class Carrying(Protocol):
    """What carries out a plan, here or elsewhere; what it has measured grows while it runs."""

    results: list[Result]
    defects: list[Defect]
    reported: set[PlanKey]
    has_failed_fast: bool

    def run(self) -> None:
        """Carry out every planned check; raises KeyboardInterrupt where the user stopped it."""


class PartOfPlan(Protocol):
    """A part of a plan that was written down: which groups it has, and what carries them out."""

    @property
    def described(self) -> Part:
        """The part as its report names it, also where the run is stopped before its groups are chosen."""

    @property
    def limit(self) -> str:
        """What the run is limited to, in words."""

    @property
    def machines(self) -> tuple[Machine, ...]:
        """Where it was carried out; none where that was here alone."""

    def choose(self, collected: "Collected", plan: Plan, state: tuple[str | None, bool | None]) -> Plan:
        """Return the groups of the part; raises UsageError where the target has another plan now."""

    def carrying(self, target: Target, plan: Plan, *, probe: Probe | None, content: str, notify: Notify) -> Carrying:
        """Return what carries out the groups; `content` is a digest of the target's files."""

    def absent(self, key: PlanKey) -> str | None:
        """Return why a planned check has no result, where that is known."""
