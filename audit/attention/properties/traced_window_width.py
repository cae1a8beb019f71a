"""A query sees as many keys as the declared window has, itself included."""

from audit.attention.cases import plain_case
from audit.attention.properties.traced_judging import judge_cores
from audit.attention.subject import BATCH_SIZE, LENGTH, AttentionSubject
from audit.attention.traced import Core, can_trace_window, cores_of, trace_of, untold
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.window_width",
    title="The window is as wide as declared",
    proves="On an input longer than the window, a key at distance window - 1 has weight and one at distance window has "
    "none.",
    defect="a window of w that lets a query see w keys before itself, w + 1 in all",
    severity=Severity.MAJOR,
)
_BEYOND = 4  # positions that lie outside the window of the last query


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Look how far back the weights of the last queries reach."""
    window = subject.contract.window
    if window is None:
        return not_applicable("no window is declared")
    if not can_trace_window(window):
        return error(f"a window of {window} is too wide to be traced", fix="declare a smaller configuration")
    case = plain_case(subject, subject.generator(run.seed), length=max(LENGTH, window + _BEYOND), batch=BATCH_SIZE)
    cores = cores_of(trace_of(subject, run, subject.finest_dtype, case))
    reaches = [(core, reach) for core in cores if (reach := _reach(core)) is not None]
    if not reaches:
        return untold(subject, "the weights of the positions were not told")
    widest = max(reach for _, reach in reaches)
    wrong = [(core, _text(reach, window)) for core, reach in reaches if reach == widest != window]
    return judge_cores(
        wrong,
        [core for core, _ in reaches],
        run,
        origin=f"the contract's window of {window} keys, the query's own included",
        fix="mask where `query - key >= window`; flash_attn's `window_size` counts the keys beside the query",
    )


def _reach(core: Core) -> int | None:
    """Return the largest number of positions from a key with weight to its query, both included."""
    if core.weights is None:
        return None
    reach = 0
    for head in core.weights:
        for query, row in enumerate(head):
            seen = [key for key, weight in enumerate(row) if weight != 0 and key <= query]
            reach = max(reach, query - min(seen) + 1) if seen else reach
    return reach


def _text(reach: int, window: int) -> str:
    if reach == window + 1:
        return f"a query sees {reach} keys with itself: {window} of them besides it"
    return f"a query sees {reach} keys with itself where {window} are declared"
