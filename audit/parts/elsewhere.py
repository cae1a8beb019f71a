"""A part of a plan that is carried out on gateways."""

from collections.abc import Callable, Sequence

from audit.carrying import Carrying
from audit.elsewhere.specs import GatewaySpec
from audit.execute import Notify
from audit.gateway import Probe
from audit.parts.commands import PlannedCommand
from audit.parts.document import PlanDocument
from audit.parts.gateways import Gateway, GatewayExecution, machines_of, open_gateways
from audit.parts.running import PartHere
from audit.plan import Plan, PlanKey
from audit.report.document import Machine
from audit.target import Target


class PartElsewhere(PartHere):
    """As `PartHere`, with machines that the groups are dealt out to while they run."""

    def __init__(
        self,
        written: PlanDocument,
        command: PlannedCommand,
        *,
        label: str,
        choosing: Callable[[PlanDocument], tuple[str, ...]],
        gateways: Sequence[GatewaySpec],
        module: str,
        cache: bool = True,
    ) -> None:
        """Prepare; `module` of the toolkit is what serves on the other side."""
        super().__init__(written, command, label=label, choosing=choosing, cache=cache)
        self._specs = gateways
        self._module = module
        self.gateways: Sequence[Gateway] = ()
        self._execution: GatewayExecution | None = None

    @property
    def machines(self) -> tuple[Machine, ...]:
        """Those that results were measured on."""
        return machines_of(self.gateways, self._execution.results) if self._execution else ()

    def carrying(self, target: Target, plan: Plan, *, probe: Probe | None, content: str, notify: Notify) -> Carrying:
        """Start the gateways and return what deals out the groups to them.

        Raises:
            UsageError: a gateway cannot be used.
        """
        if probe:  # it has told what the plan needs; whoever asks it again starts it again
            probe.close()
        self.gateways, lost = open_gateways(self._specs, self.written, target, module=self._module, cache=self._cache)
        for name, why in sorted(lost.items()):
            notify(f"{name}: {why}; the others go on", [])
        self._execution = GatewayExecution(self.written, self._groups, self.gateways, notify=notify, lost=lost)
        return self._execution

    def absent(self, key: PlanKey) -> str | None:
        """Return why a planned check has no result."""
        return self._execution.absent(key) if self._execution else None
