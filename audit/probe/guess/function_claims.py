"""What a plain function of queries, keys and values promises by its name, arguments, documentation and code."""

import re
from collections.abc import Mapping

from . import ordering, prose
from .adapting import Form
from .claims_of import WINDOW, Claims, Subject, claim_window, documents, first_saying
from .constructing import CAUSAL
from .contracts import reads_as_plain
from .structure import code_of

_MOSTLY = 0.5  # of the later keys: a wrong diagonal lets a few through
_TRIANGLE = re.compile(r"\btril\b|\btriu\b")
_NAMED = re.compile(r"causal(?!ity|_?inference|_?conv)", re.IGNORECASE)
_NOT_NAMED = re.compile(r"non_?causal|maybe_?causal", re.IGNORECASE)
# Of what leaves out some keys on purpose, or gives others to them.
_PART_OF_THE_KEYS = re.compile(
    r"topk|top_k|sparse|window|local|neighbo|routing|sampl|entmax|hash|bucket|sort|stride|dilat|cluster|gumbel|argmax|"
    r"threshold|landmark|cu_seq|prune|segment|document|drop",
    re.IGNORECASE,
)
_FORMULA = "its code is not that of plain softmax attention"


def claim_of_function(subject: Subject, contract: Mapping[str, object], found: Claims) -> None:
    """Add what says that a function is causal, has a window, or sees every key.

    `always causal` says that no argument turns causality off, `no formula` that no oracle knows what it computes.
    """
    if subject.form["canonical"] != "function":
        return
    _causal(subject, contract, found)
    _window(subject, found)
    takes_all = "window" not in found.contract and not _PART_OF_THE_KEYS.search(code_of(subject.source))
    if takes_all and (why := first_saying(subject, prose.EXACT)):
        found.said["every_key"] = why


def has_switch(form: Form) -> bool:
    """Whether an argument of the call turns causality on and off."""
    return "causal" in form["arguments"].values()


def _causal(subject: Subject, contract: Mapping[str, object], found: Claims) -> None:
    form = subject.form
    flags = [name for name, recipe in form["arguments"].items() if recipe == "causal"]
    if flags:
        if "is_causal" not in contract and subject.can_switch:
            found.add("is_causal", True, f"argument {flags[0]}")
            found.said["no formula"] = _FORMULA
        return
    if subject.future is None or any(
        CAUSAL.search(name) and recipe in ({"const": False}, {"const": None})
        for name, recipe in form["arguments"].items()
    ):
        return
    why = _always(subject)
    if why is None:
        return
    found.add("is_causal", True, why)
    found.said["always causal"] = why
    if not reads_as_plain(subject.source, form):
        found.said["no formula"] = _FORMULA
    elif form["uneven"] and subject.alignment is None:
        found.add("equal_lengths", True, "the causal mask meets neither corner where there are fewer queries than keys")
    elif form["uneven"]:
        found.add("causal_alignment", subject.alignment, "the keys that the first of fewer queries sees")


def _always(subject: Subject) -> str | None:
    """Return what says that later keys are hidden in every call."""
    is_on = next(
        (n for n, recipe in subject.form["arguments"].items() if CAUSAL.search(n) and recipe == {"const": True}), None
    )
    if is_on:
        return f"argument {is_on}=True"
    if line := ordering.hides_later(subject.source):
        return f"its code hides later keys in every call: {line}"
    assert subject.future is not None
    hides = subject.future <= _MOSTLY
    if subject.form["mask"] is not None and not hides:
        return None  # the mask may have to be passed
    # A name or a word may mean an order between the parts of a sequence, or between what is kept and what is new.
    if any(prose.SOME_SEE_ALL.search(each) for _, doc in documents(subject) for each in prose.sentences_of(doc)):
        return None
    name = str(getattr(subject.value, "__qualname__", ""))
    if _NAMED.search(name) and not _NOT_NAMED.search(name):
        return f"the name {name}"
    if why := first_saying(subject, prose.CAUSAL, against=prose.BOTH_WAYS):
        return why
    triangle = _TRIANGLE.search(code_of(subject.source))
    return f"{triangle[0]} in the source" if triangle and hides else None


def _window(subject: Subject, found: Claims) -> None:
    for name in WINDOW:
        recipe = subject.form["arguments"].get(name)
        width = recipe.get("const") if isinstance(recipe, Mapping) else None
        if isinstance(width, int) and not isinstance(width, bool) and width > 1:
            break
    else:
        return
    text = claim_window(subject, found, name, width)
    if found.contract["window_counts_query"] is not None and prose.SLIDES.search(text):
        found.said["window slides"] = "by its documentation each query has the window that ends with it"
