"""A file of weights is what its own description says."""

from audit.judgement import Judgement, Measured, failed, judged, skipped
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from validation.readiness.checkpoints.file import Checkpoint
from validation.readiness.checkpoints.forms import Malformed, NotRead

CHECK = Check(
    id="checkpoints.layout",
    title="The layout of the file is whole",
    proves="The zip archive, the pickle or the header (safetensors, GGUF, ONNX) was read to its end, without loading "
    "anything: every tensor has the bytes that its dtype and shape need, within its storage and the file; no name "
    "leads out of the archive, nothing overlaps, and the file was not cut off.",
    defect="a file that ends within its last tensor",
    severity=Severity.CRITICAL,
)


def judge(checkpoint: Checkpoint, run: Run) -> Judgement:
    """Read what describes the tensors."""
    try:
        layout = checkpoint.layout
    except Malformed as problem:
        return failed(
            str(problem), fix="write the file again, and let what downloads or saves it fail where it is cut off"
        )
    except NotRead as reason:
        return skipped(str(reason))
    tensors = len(layout.tensors) + len(layout.unread)
    return judged(
        Measured(
            value=tensors,
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin=f"a file of weights without a tensor holds none; format: {layout.format}",
            unit="tensors",
        ),
        otherwise=f"the file ({layout.format}) holds no tensor",
    )
