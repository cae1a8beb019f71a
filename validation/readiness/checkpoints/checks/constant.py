"""No matrix of weights in a file is one number."""

from audit.judgement import Judgement, Measured, judged, not_applicable, skipped
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from validation.readiness.checkpoints.file import Checkpoint
from validation.readiness.checkpoints.forms import NotRead, StoredTensor
from validation.readiness.listing import listed

CHECK = Check(
    id="checkpoints.constant",
    title="No matrix of weights is constant",
    proves="Every floating-point tensor of the file with two or more dimensions longer than 1 holds at least two "
    "different numbers. Vectors (biases, norms) and the state of optimizers may be constant.",
    defect="a weight matrix of zeros",
    severity=Severity.MINOR,  # a layer that begins as zero and was never trained is legitimate
)
_OF_OPTIMIZERS = frozenset(("optimizer", "optimizers", "optimizer_state", "optimizer_states", "optim", "scheduler"))
_OF_OPTIMIZERS |= {"optimizer_state_dict", "exp_avg", "exp_avg_sq", "momentum_buffer"}
_FLOATING = ("float", "bfloat", "complex")


def judge(checkpoint: Checkpoint, run: Run) -> Judgement:
    """Count the matrices of one number."""
    matrices = [tensor for tensor in checkpoint.layout.tensors if _is_matrix(tensor)]
    if not matrices and not checkpoint.layout.unread:
        return not_applicable("the file holds no floating-point tensor with two dimensions")
    try:
        values = checkpoint.values(lambda text: run.tell(f"{CHECK.id}: {text}"))
    except NotRead as reason:
        return skipped(str(reason))
    seen = [tensor for tensor in matrices if tensor.name in values.seen]
    constant = sorted(tensor.name for tensor in seen if values.seen[tensor.name].value is not None)
    if not constant and values.unseen:
        return skipped(f"{len(values.unseen)} tensors were not looked at: {listed(values.unseen, 3)}")
    return judged(
        Measured(
            value=len(constant),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"a matrix of one number has rank 1 at most and tells no input from another; matrices: {len(seen)}",
            unit="constant matrices",
        ),
        otherwise=f"every element is the same in {listed(constant)}",
        fix="find out whether the layer was trained and saved; leave out of the file what is not used",
    )


def _is_matrix(tensor: StoredTensor) -> bool:
    floating = tensor.dtype.startswith(_FLOATING)
    return (
        floating
        and sum(size > 1 for size in tensor.shape) >= 2
        and 0 not in tensor.shape
        and not _OF_OPTIMIZERS & {*tensor.name.split(".")}
    )
