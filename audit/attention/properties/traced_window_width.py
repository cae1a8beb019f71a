"""A query sees as many keys as the window has, itself included or not as declared."""

import torch
from torch import Tensor

from audit.attention.cases import plain_case
from audit.attention.properties.influence import seen_keys
from audit.attention.properties.traced_judging import judge_cores
from audit.attention.subject import BATCH_SIZE, LENGTH, AttentionSubject
from audit.attention.traced import Core, can_trace_window, cores_of, trace_of, untold
from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import describe_raised
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="attention.window_width",
    title="The window is as wide as declared",
    proves="On an input longer than the window, the last key inside it has weight and the next one has none. Where "
    "nothing says whether the query's own key counts, both readings of an argument pass.",
    defect="a window of w that lets a query see w keys before itself, w + 1 in all",
    severity=Severity.MAJOR,
)
_SIDES = "undeclared: whether the window is of keys on one side or on both"
_BEYOND = 4  # positions that lie outside the window of the last query
_FIX = "mask where `query - key >= window`; flash_attn's `window_size` counts the keys beside the query"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Look how far back the weights of the last queries reach."""
    contract = subject.contract
    window, reach = contract.window, contract.reach
    if window is None or reach is None:
        return not_applicable("no window is declared")
    if contract.num_global_tokens:
        return not_applicable("global tokens are declared, which are seen from beyond the window")
    if not can_trace_window(window):
        what = f"a window of {window} is too wide to be traced"
        return error(what, fix="declare a smaller configuration") if subject.is_declared else not_applicable(what)
    if not subject.is_declared and not contract.is_causal and subject.is_function:
        return not_applicable(_SIDES)
    if subject.is_function and not subject.is_declared:
        return _of_function(subject, run, window)
    case = plain_case(subject, subject.generator(run.seed), length=max(LENGTH, window + _BEYOND), batch=BATCH_SIZE)
    cores = cores_of(trace_of(subject, run, subject.finest_dtype, case))
    if not subject.is_declared and not contract.is_causal and any(map(_sees_later, cores)):
        return not_applicable(_SIDES)
    if not subject.is_declared:
        return _of_argument(subject, run, cores, window)
    reaches = [(core, max(far)) for core in cores if (far := _reaches(core))]
    if not reaches:
        return untold(subject, "the weights of the positions were not told")
    widest = max(far for _, far in reaches)
    wrong = [(core, _text(far, reach)) for core, far in reaches if far == widest != reach]
    return judge_cores(
        wrong,
        [core for core, _ in reaches],
        run,
        origin=f"the contract's window: {reach} keys with the query's own",
        fix=_FIX,
    )


def _of_argument(subject: AttentionSubject, run: Run, cores: tuple[Core, ...], window: int) -> Judgement:
    """Judge by an argument: its unit may be another, as of a block; one key more or less is a mistake in any."""
    told = [(core, far[window + 1 :]) for core in cores if len(far := _reaches(core)) > window + 2]
    if not told:
        return untold(subject, "the weights of the positions were not told")
    counts = subject.contract.window_counts_query
    allowed = {True: (window,), False: (window + 1,), None: (window, window + 1)}[counts]
    wrong, facts = [], []
    for core, far in told:
        longest = far[-1]
        is_whole = all(reach == window + 2 + at for at, reach in enumerate(far))
        if is_whole and "window unread" in subject.claims:
            wrong.append((core, f"a query sees every earlier key{subject.claim('window', 'window unread')}"))
        elif len(set(far)) == 1 and longest not in allowed and window - 1 <= longest <= window + 2:
            wrong.append((core, f"a query sees {longest} keys with itself{subject.claim('window')}"))
        elif len(set(far)) > 1 or longest not in allowed:
            facts.append(f"undeclared: what {window} counts; observed: the last query sees {longest} keys")
    if facts and not wrong:
        return not_applicable("; ".join(dict.fromkeys(facts)))
    keys = " or ".join(map(str, allowed))
    return judge_cores(
        wrong, [core for core, _ in told], run, origin=f"the argument: {keys} keys with the query's own", fix=_FIX
    )


def _of_function(subject: AttentionSubject, run: Run, window: int) -> Judgement:
    """Judge by which keys move which outputs, for a function may attend in parts that each know no position."""
    length = 3 * window + 2
    try:
        seen = seen_keys(subject, run, length)
    except TargetRaised as raised:
        return not_applicable(f"undeclared: whether it takes {length} tokens; {describe_raised(raised, run.target)}")
    if bool(seen.triu(diagonal=1).any()):
        return not_applicable("later keys are seen, which attention.causality judges")
    counts = subject.contract.window_counts_query
    allowed = {True: (window,), False: (window + 1,), None: (window, window + 1)}[counts]
    rows = range(window + 1, length)  # queries that have more keys before them than the window holds
    reaches = {row: row - int(seen[row].nonzero()[0]) + 1 if seen[row].any() else 0 for row in rows}
    if "window slides" in subject.claims:
        wrong = [row for row in rows if not _is_window(seen[row], row, allowed[0])]
    elif len(set(reaches.values())) == 1 and window - 1 <= reaches[length - 1] <= window + 2:
        wrong = [row for row in rows if reaches[row] not in allowed]
    else:
        return not_applicable(f"undeclared: what {window} counts; observed: the last query sees {reaches[length - 1]}")
    keys = " or ".join(map(str, allowed))
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"the argument: {keys} keys with the query's own",
            unit=f"of {len(reaches)} queries that see fewer or more keys",
        ),
        otherwise=f"query {wrong[0]} sees {_seen_text(seen[wrong[0]])}" + subject.claim("window", "window slides")
        if wrong
        else "",
        fix=_FIX,
    )


def _seen_text(row: Tensor) -> str:
    keys = row.nonzero().flatten().tolist()
    return f"{len(keys)} keys, {keys[0]} to {keys[-1]}" if keys else "no key"


def _is_window(row: Tensor, query: int, width: int) -> bool:
    """Whether a query sees just the keys of the window that ends with it."""
    position = torch.arange(len(row))
    return bool((row == ((position <= query) & (position > query - width))).all())


def _sees_later(core: Core) -> bool:
    """Whether a query gives a later key weight, in some head."""
    heads = core.weights or ()
    return any(any(row[query + 1 :]) for head in heads for query, row in enumerate(head))


def _reaches(core: Core) -> list[int]:
    """Return, for each query, the largest number of positions from a key with weight to it, both included."""
    if not core.weights:
        return []
    found = []
    for query, heads in enumerate(zip(*core.weights, strict=True)):  # of each query, the rows of all heads
        seen = [key for row in heads for key, weight in enumerate(row) if weight != 0 and key <= query]
        found.append(query - min(seen) + 1 if seen else 0)
    return found


def _text(far: int, reach: int) -> str:
    if far == reach + 1:
        return f"a query sees {far} keys with itself: {reach} of them besides it"
    return f"a query sees {far} keys with itself where {reach} are declared"
