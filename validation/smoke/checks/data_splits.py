"""No item is in two splits."""

from itertools import combinations

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of, table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import data_items
from validation.smoke.dataset import DeclaredData

CHECK = Check(
    id="smoke.data_splits",
    title="Splits have no item in common",
    proves="Of the splits that the spec declares, no two share an item, compared by all that is in it.",
    defect="a held-out set that is cut from the training set's own items",
    severity=Severity.CRITICAL,
)
REQUIRES = (data_items.CHECK.id,)


def judge(data: DeclaredData, run: Run) -> Judgement:
    """Compare the digests of every item of every split."""
    if not data.entry.has_splits:
        return not_applicable("its spec declares no 'splits'")
    if data.entry.random:
        return not_applicable("its spec declares 'random': True: items cannot be told apart by what they hold")
    try:
        reply = data.call(run, "data_splits")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("splits", "read"))
    found = table_of(reply, "splits")
    splits = {name: set(names_of(found, name)) for name in sorted(found)}
    empty = [name for name, items in splits.items() if not items]
    if len(splits) < 2 or empty:
        return error(
            f"nothing to compare: splits {', '.join(splits) or 'none'}, of which empty: {', '.join(empty) or 'none'}"
        )
    shared = {
        f"{one} and {other}": len(splits[one] & splits[other])
        for one, other in combinations(splits, 2)
        if splits[one] & splits[other]
    }
    sizes = ", ".join(f"{name} {len(items)}" for name, items in splits.items())
    return judged(
        Measured(
            value=sum(shared.values()),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"what was learned from cannot measure what was learned; different items: {sizes}",
            unit="items in two splits",
        ),
        otherwise="; ".join(f"{names} share {count} items" for names, count in shared.items()),
        fix="split before anything is drawn from the items, by what makes them the same",
    )
