"""What two branches may differ in where no mask is given, which nothing declares: causality, and a model's window.

A configuration that chooses the implementation belongs to a model that makes the masks. Its layer, called without one,
may leave out what a library is told by an argument.
"""

from collections.abc import Sequence

from audit.attention.bounds import distance
from audit.attention.branching import Answered, is_masked
from audit.attention.cases import key_length
from audit.attention.subject import AttentionSubject, Case

INSIDE = "half a window"
FIRST = "first token changed"
CAUSAL = "whether a call without a mask is causal; observed: some branches are then and others not"
WINDOW = "whether a call without a mask has the window; observed: some branches have it then and others not"


def length_inside(subject: AttentionSubject) -> int | None:
    """Return a length that no window of this width cuts, were it halved for both sides; None without a window."""
    return None if subject.contract.window is None else subject.contract.window // 2 + 1


def undeclared(
    subject: AttentionSubject,
    cases: Sequence[Case],
    wrong: Sequence[Case],
    first: Answered,
    second: Answered,
    *,
    bound: float,
) -> str | None:
    """Return what nothing declares, where the two branches differ in nothing else.

    Args:
        subject: what has the branches.
        cases: all, the plain one first and that with another last token after it.
        wrong: those in which the two differ.
        first: what one branch answered.
        second: what the other did.
        bound: what a change of the output is larger than.
    """
    if subject.is_declared or not subject.contract.key_mask or any(map(is_masked, wrong)):
        return None
    both = first.outputs.keys() & second.outputs.keys()

    def moves(changed: int, rows: slice) -> set[bool]:
        """Whether another token changes these rows, on either branch."""
        if not {0, changed} <= both:
            return set()
        outputs = ((each.outputs[changed], each.outputs[0]) for each in (first, second))
        return {distance(after[..., rows, :], before[..., rows, :]) > bound for after, before in outputs}

    if subject.contract.is_causal is None and len(moves(1, slice(0, -1))) == 2:
        return CAUSAL
    inside = length_inside(subject)
    named = {case.name: index for index, case in enumerate(cases)}
    if inside is None or not (first.branch.of_config or second.branch.of_config) or named.get(INSIDE) not in both:
        return None
    if any(key_length(case) <= inside for case in wrong):
        return None
    return WINDOW if len(moves(named[FIRST], slice(-1, None))) == 2 else None
