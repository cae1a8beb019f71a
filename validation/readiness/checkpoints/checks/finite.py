"""The weights of a file are numbers, and those that were saved."""

from audit.judgement import Judgement, Measured, failed, judged, skipped
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from validation.readiness.checkpoints.file import Checkpoint
from validation.readiness.checkpoints.forms import NotRead
from validation.readiness.listing import listed

CHECK = Check(
    id="checkpoints.finite",
    title="The weights are finite",
    proves="No tensor of the file holds NaN or an infinity, but for masks: tensors of nothing but 0 and minus "
    "infinity. Of ggml's quantised types the scales of the blocks are looked at. Where the archive has checksums, the "
    "bytes are those that were saved.",
    defect="NaN in one element of one weight",
    severity=Severity.CRITICAL,
)


def judge(checkpoint: Checkpoint, run: Run) -> Judgement:
    """Count the tensors that are not finite."""
    try:
        values = checkpoint.values(lambda text: run.tell(f"{CHECK.id}: {text}"))
    except NotRead as reason:
        return skipped(str(reason))
    if values.damaged:
        return failed(
            f"the bytes of {listed(values.damaged)} are not those that were saved: another checksum",
            fix="fetch the file again",
        )
    wrong = [
        f"{name} ({seen.nan} NaN, {seen.infinite} infinite)"
        for name, seen in sorted(values.seen.items())
        if seen.nan or (seen.infinite and not seen.is_mask)
    ]
    if not wrong and values.unseen:
        return skipped(f"{len(values.unseen)} tensors were not looked at: {listed(values.unseen, 3)}")
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="a model computes with every element; tensors looked at: "
            f"{len(values.seen)}, bytes: {values.bytes_read}",
            unit="tensors that are not finite",
        ),
        otherwise=listed(wrong),
        fix="save a checkpoint of before the training diverged",
    )
