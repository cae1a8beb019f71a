"""What measuring a claim needs: the claim, the device it is measured on, where it is published, and until when."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from audit.claims import Claim, finite
from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.plan import Run
from audit.results import Location


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """One claim being measured. All calls for it share one time limit."""

    claim: Claim
    run: Run
    device: str
    place: Location
    deadline: float
    limit_s: float

    @property
    def left_s(self) -> float:
        """Seconds until the claim's time is up."""
        return self.deadline - time.monotonic()

    def call(self, procedure: str, **arguments: Plain) -> Mapping[str, Plain]:
        """Call the probe within what is left of the claim's time.

        Raises:
            ProbeFailure: no time is left, or as `Probe.call`.
            TargetRaised: as `Probe.call`.
        """
        left = self.left_s
        if left <= 0:
            raise ProbeFailure(f"timed out: the claim took longer than {self.limit_s:g} s", timed_out=True)
        return self.run.probe.call(procedure, timeout_s=left, **arguments)


def numbers_of(reply: Mapping[str, Plain], key: str) -> list[float]:
    """Return the finite numbers that a reply lists under `key`.

    Raises:
        ProbeFailure: the reply is not of that form.
    """
    listed = reply.get(key)
    found = [finite(each) for each in listed] if isinstance(listed, list) else [None]
    numbers = [each for each in found if each is not None]
    if len(numbers) != len(found):
        raise ProbeFailure(f"the target's process sent a reply without {key}")
    return numbers
