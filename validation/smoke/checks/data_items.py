"""A data set has as many items as it says, and they are finite."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import number_of, table_of, text_of
from audit.results import Check, Comparison, Severity
from validation.smoke.dataset import DeclaredData
from validation.smoke.model import listed

CHECK = Check(
    id="smoke.data_items",
    title="The items of the data set are there, and finite",
    proves="The data set has at least one item, as many as its length says (of a long one, the first 32 and the last), "
    "no number in them is NaN or infinite, they are not all the same, and an item is the same when it is read again.",
    defect="a length that counts one item too many",
    severity=Severity.MAJOR,
)
REQUIRES: tuple[str, ...] = ()


def judge(data: DeclaredData, run: Run) -> Judgement:
    """Read the first items."""
    if data.entry.problem:
        return error(f"specs {data.specs}: DATA[{data.name!r}]: {data.entry.problem}")
    if data.subject.digest is None:
        return failed(
            f"{data.entry.declared} is not defined in the sources of {run.target.package}",
            fix="declare the class or function in the module that defines it",
        )
    try:
        reply = data.call(run, "data_items")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("build", "length", "read"))
    if not reply.get("is_declared"):
        built = text_of(reply, "class")
        return error(f"what is built is {built}, and nothing in it of the class declared, {data.entry.declared}")
    read, again = number_of(reply, "read"), number_of(reply, "again")
    if not read:
        return failed("the data set is empty")
    if not number_of(reply, "tensors") and number_of(reply, "different") <= 1:
        return error("the items hold neither tensors nor numbers nor words that differ: nothing can be compared")
    length = None if reply.get("length") is None else number_of(reply, "length")
    if reply.get("complete") and length is not None and length != read:
        return failed(f"its length is {length:g}, and it has {read:g} items")
    if read != again:
        return failed(f"it gave {read:g} items, and {again:g} when it was read again")
    if number_of(reply, "different") == 1 and read > 1:
        return failed(f"all of the {read:g} items read are the same")
    changed = reply.get("changed")
    if isinstance(changed, list) and changed and not data.entry.random:
        return failed(
            f"other items when they are read again: {listed(str(index) for index in changed)}",
            fix="draw from a generator that is seeded by the item's number, or declare 'random': True",
        )
    nonfinite = table_of(reply, "nonfinite")
    return judged(
        Measured(
            value=sum(number_of(nonfinite, key) for key in nonfinite),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"what is not finite spoils every sum that it enters; items read: {read:g}"
            + ("" if length is None else f" of {length:g}"),
            unit="elements not finite",
        ),
        otherwise=f"not finite: {listed(f'{key}: {number_of(nonfinite, key):g}' for key in sorted(nonfinite))}",
        fix="leave such items out, or mask what is missing",
    )
