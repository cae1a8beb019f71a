"""Worker processes give the items that one process gives."""

from collections import Counter

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import data_items
from validation.smoke.dataset import UNSIZED, DeclaredData

CHECK = Check(
    id="smoke.data_workers",
    title="Two workers give the items that one process gives",
    proves="A DataLoader with two workers gives the items that it gives without any, each as often, and of a data set "
    "that is read by number in the same order.",
    defect="an iterable data set that every worker reads from the start",
    severity=Severity.MAJOR,
)
REQUIRES = (data_items.CHECK.id,)


def judge(data: DeclaredData, run: Run) -> Judgement:
    """Load with and without workers, and compare the digests of the items."""
    if data.entry.random:
        return not_applicable("its spec declares 'random': True: each process draws items of its own")
    try:
        reply = data.call(run, "data_workers")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("loading with 0 workers", "loading with 2 workers"))
    if reply.get("unsized"):
        return not_applicable(UNSIZED)
    alone, together = names_of(reply, "0"), names_of(reply, "2")
    if not alone:
        return error("the loader gave no item")
    if reply.get("in_order"):
        wrong = abs(len(alone) - len(together)) + sum(one != other for one, other in zip(alone, together, strict=False))
    else:
        # In which order workers hand over what they share out is theirs to decide.
        counted, expected = Counter(together), Counter(alone)
        wrong = ((counted - expected) + (expected - counted)).total()
    return judged(
        Measured(
            value=wrong,
            bound=0,
            comparison=Comparison.EQUAL,
            origin="who reads an item does not change it, nor how often it comes; items given by one process: "
            f"{len(alone)}",
            unit="items that differ",
        ),
        otherwise=f"two workers give {len(together)} items and one process {len(alone)}; {wrong} differ",
        fix="share the items out by torch.utils.data.get_worker_info(), and draw no random number that depends on the "
        "process",
    )
