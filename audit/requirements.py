"""Why a check is not carried out: one that it requires did not pass."""

from collections.abc import Mapping, Sequence

from audit.results import Outcome


def reason_unmet(
    requires: Sequence[str], outcomes: Mapping[str, Outcome], needed: Mapping[str, Sequence[str]]
) -> str | None:
    """Return which required check did not pass, and which one that was skipped for; None where all have passed.

    Args:
        requires: the checks that have to pass first.
        outcomes: of the checks of this subject so far.
        needed: what each check of this subject requires.
    """
    chain: list[str] = []
    while unmet := [check for check in requires if outcomes.get(check) is not Outcome.PASSED and check not in chain]:
        chain.append(unmet[0])
        requires = needed.get(unmet[0], ()) if outcomes.get(unmet[0]) is Outcome.SKIPPED else ()
    if not chain:
        return None
    first, last = chain[0], chain[-1]
    state = outcomes[last].value.replace("_", " ") if last in outcomes else "not run"
    which = f", which needs {last}" if last != first else ""
    return f"needs {first} to pass on this subject{which}, and that was: {state}"
