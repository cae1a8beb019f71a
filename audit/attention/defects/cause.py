"""What the failure of a check comes from."""

from dataclasses import dataclass, replace

from audit.attention.contract import Contract
from audit.attention.oracle import FAITHFUL, Departure
from audit.attention.subject import AttentionSubject
from audit.results import Location


@dataclass(frozen=True, kw_only=True)
class Cause:
    """`bug` is the class of the mistake; None where it is not established.

    `is_exact`: whether contract and departure say just what is computed, and not only what is not promised any more.
    """

    bug: str | None
    says: str = ""
    contract: Contract | None = None
    departure: Departure = FAITHFUL
    is_exact: bool = True
    location: Location | None = None

    def taken_for_right(self, subject: AttentionSubject) -> AttentionSubject | None:
        """Return the subject as if what it does were declared; None where no oracle computes that."""
        if self.contract is None and self.departure == FAITHFUL:
            return None
        return replace(subject, contract=self.contract or subject.contract, departure=self.departure)
