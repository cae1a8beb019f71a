"""The parent's side of the probe: starts the child, sends it the probe's sources, holds it to its limits."""

from audit.gateway.client import Probe
from audit.gateway.limits import Limits
from audit.gateway.outcomes import ProbeFailure, TargetRaised
from audit.gateway.processes import output_of

__all__ = ["Limits", "Probe", "ProbeFailure", "TargetRaised", "output_of"]
