"""No dropout acts in eval mode, whatever its rate is."""

from audit.attention.subject import AttentionSubject
from audit.attention.traced import location_of, traces_of
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="attention.dropout_in_eval",
    title="Dropout does not act in eval mode",
    proves="With every dropout rate of the module set above zero, a forward in eval mode drops nothing.",
    defect="scaled_dot_product_attention with `dropout_p=self.dropout` in eval mode too",
    severity=Severity.CRITICAL,
)


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Count the dropouts that a forward in eval mode carries out."""
    if subject.is_function:
        return not_applicable("a function has no eval mode")
    trace = traces_of(subject, run, subject.finest_dtype).raised
    if trace is None:
        return error("with dropout rates above zero the forward in eval mode raised, and without them not")
    if not trace.operations:
        return error("the forward carried out no operation that could be followed: nothing was tested")
    fused = [core.frames for core in trace.cores if core.dropout and not trace.dropped]
    places = [*trace.dropped, *fused]
    rates = sorted({f"{core.dropout:.2g}" for core in trace.cores if core.dropout})
    return judged(
        Measured(
            value=len(places),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="eval mode promises an output without dropout",
            unit=f"dropouts among {trace.operations} operations",
        ),
        otherwise="dropout acts in eval mode"
        + (f", on the attention weights at rate {', '.join(rates)}" if rates else ""),
        fix="pass `dropout_p=self.dropout if self.training else 0.0`, or `training=self.training`",
        location=location_of(places[0], run.target) if places else None,
    )
