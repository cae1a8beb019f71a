"""A failure is known by what is told of it: another reason of the same check is a new failure."""

import pytest

from .known_defects import Defect

KNOWN = Defect(
    "Attend",
    "attention.branches",
    r"branches differ: plain and flash = True, [\w ,]+",
    "a flag of the call is dropped",
    "attend.py:1",
    cases=r"(plain and flash = True, [^;()=]+(; |$))+",
)
TOLD = "attention.branches: branches differ: plain and flash = True, causal"


@pytest.mark.parametrize(
    "reason",
    [
        f"Attend: {TOLD}",
        f"Attend[causal=True]: {TOLD}",
        f"Attend: {TOLD} (1 of 4 cases: plain and flash = True, causal in float32)",
        f"Attend: {TOLD} (2 of 4 cases: plain and flash = True, causal in float32; plain and flash = True, again)",
    ],
)
def test_the_same_reason_is_known(reason: str) -> None:
    assert KNOWN.is_told_by(reason)


@pytest.mark.parametrize(
    "reason",
    [
        f"Attention: {TOLD}",
        "Attend: attention.mask: branches differ: plain and flash = True, causal",
        "Attend: attention.branches: branches differ: plain and memory = True, causal",
        f"Attend: {TOLD}; and more",
        f"Attend: {TOLD} (2 of 4 cases: plain and flash = True, causal; plain and memory = True, causal)",
    ],
    ids=["another class", "another check", "another branch", "more", "another branch in another case"],
)
def test_another_reason_is_not(reason: str) -> None:
    assert not KNOWN.is_told_by(reason)
