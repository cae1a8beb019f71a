"""Carries out a part of a written plan on this machine."""

from collections.abc import Callable

from audit.carrying import Carrying
from audit.collected import Collected
from audit.execute import Execution, Notify
from audit.gateway import Probe
from audit.parts.commands import PlannedCommand
from audit.parts.document import PlanDocument
from audit.parts.kept import kept_of
from audit.parts.making import State, document_of, named_groups, refuse_another
from audit.plan import Plan, PlanKey
from audit.report.document import Machine, Part
from audit.session import Request
from audit.target import Target


class PartHere:
    """A part of a plan, carried out here. `choosing` returns the ids of its groups."""

    def __init__(
        self,
        written: PlanDocument,
        command: PlannedCommand,
        *,
        label: str,
        choosing: Callable[[PlanDocument], tuple[str, ...]],
        cache: bool = True,
    ) -> None:
        """Prepare to carry out a part of `written`; with `cache`, what earlier runs of the plan measured counts."""
        self.written = written
        self._command = command
        self._label = label
        self._groups = choosing(written)
        self._cache = cache

    @property
    def described(self) -> Part:
        """The part as its report names it, also where it was stopped before the plan was compared."""
        return Part(plan=self.written.digest, label=self._label, groups=self._groups)

    @property
    def limit(self) -> str:
        """What the run is limited to, in words."""
        here, every = len(self._groups), len(self.written.groups)
        return f"{self._label}: {here} of {every} groups of plan {self.written.shown_digest}"

    @property
    def machines(self) -> tuple[Machine, ...]:
        """None beside this one, which the provenance has."""
        return ()

    def choose(self, collected: Collected, plan: Plan, state: State) -> Plan:
        """Return the groups of the part.

        Raises:
            UsageError: the target has another plan now.
        """
        asked = self.written.planned_from
        now = document_of(collected, plan, state, command=asked.command, release=asked.release, profile=asked.profile)
        refuse_another(self.written, now)
        groups = named_groups(plan)
        return tuple(groups[name] for name in self._groups)

    def carrying(self, target: Target, plan: Plan, *, probe: Probe | None, content: str, notify: Notify) -> Carrying:
        """Return what carries out the groups."""
        return Execution(
            target,
            plan,
            probe=probe,
            notify=notify,
            kept=kept_of(target, content, self.written) if self._cache else None,
            one_thread=self._command.one_thread,
        )

    def absent(self, key: PlanKey) -> str | None:
        """Return why a planned check has no result: here nothing more is known of it."""
        return None


def request_for(part: PartHere, command: PlannedCommand, *, cache: bool = True) -> Request:
    """Return the request that carries out a part of a command's plan."""
    profile = part.written.planned_from.profile
    return Request(
        command=command.name,
        planners=command.planners(profile),
        release=command.release,
        profile=profile,
        needs_inventory=command.needs_inventory,
        cache=cache,
        one_thread=command.one_thread,
        part=part,
    )
