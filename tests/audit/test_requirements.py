import pytest

from audit.requirements import reason_unmet
from audit.results import Outcome

PASSED, FAILED, SKIPPED = Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED
NEEDED = {"b": ("a",), "c": ("b",), "own": ("own",), "one": ("other",), "other": ("one",)}


@pytest.mark.parametrize(
    ("requires", "outcomes", "said"),
    [
        ((), {}, None),
        (("a",), {"a": PASSED}, None),
        (("a", "b"), {"a": PASSED, "b": FAILED}, "needs b to pass on this subject, and that was: failed"),
        (("c",), {"a": FAILED, "b": SKIPPED, "c": SKIPPED},
         "needs c to pass on this subject, which needs a, and that was: failed"),
        # Skipped by itself, for want of hardware.
        (("b",), {"a": PASSED, "b": SKIPPED}, "needs b to pass on this subject, and that was: skipped"),
        (("own",), {"own": SKIPPED}, "needs own to pass on this subject, and that was: skipped"),
        (("one",), {"one": SKIPPED, "other": SKIPPED},
         "needs one to pass on this subject, which needs other, and that was: skipped"),
    ],
)  # fmt: skip
def test_the_reason_names_what_did_not_pass_first(
    requires: tuple[str, ...], outcomes: dict[str, Outcome], said: str | None
) -> None:
    assert reason_unmet(requires, outcomes, NEEDED) == said
