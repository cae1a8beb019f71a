"""A seed decides the order of the items, and another seed gives another."""

from collections import Counter

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import data_items
from validation.smoke.dataset import UNSIZED, DeclaredData

CHECK = Check(
    id="smoke.data_order",
    title="Shuffles follow the seed",
    proves="A shuffle gives every item once; the same seed gives the same order twice, and three seeds give three "
    "orders.",
    defect="items that are drawn at random, whatever number is asked for",
    severity=Severity.MAJOR,
)
REQUIRES = (data_items.CHECK.id,)
_FEWEST = 6  # different items: of 720 orders two seeds share one in 0.1 % of cases


def judge(data: DeclaredData, run: Run) -> Judgement:
    """Compare the orders under three seeds."""
    if data.entry.random:
        return not_applicable("its spec declares 'random': True: its items have no order of their own")
    try:
        reply = data.call(run, "data_order")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("shuffling", "read"))
    if reply.get("iterated"):
        return not_applicable("it is iterated and not read by number: a loader cannot shuffle it")
    if reply.get("unsized"):
        return not_applicable(UNSIZED)
    plain, first, again, second, third = (
        names_of(reply, key) for key in ("plain", "first", "again", "second", "third")
    )
    if len(set(plain)) < _FEWEST:
        return error(f"it has {len(set(plain))} different items: too few to tell one order from another")
    if any(Counter(order) != Counter(plain) for order in (first, again, second, third)):
        return failed("a shuffle gives other items than the data set read in order")
    wrong = ["the same seed gives two orders"] if first != again else []
    wrong += ["another seed gives the same order"] if len({*map(tuple, (first, second, third))}) < 3 else []
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"an order is a function of its seed; items: {len(plain)}",
            unit="contradictions",
        ),
        otherwise="; ".join(wrong),
        fix="let the loader's generator alone decide the order",
    )
