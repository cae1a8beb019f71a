"""A pickle of weights names nothing but what tensors are made of."""

from audit.judgement import Judgement, Measured, judged, not_applicable
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from validation.readiness.checkpoints.allowed import is_allowed
from validation.readiness.checkpoints.file import Checkpoint
from validation.readiness.listing import listed

CHECK = Check(
    id="checkpoints.pickled_names",
    title="Loading the file imports nothing but what tensors are made of",
    proves="Every name that unpickling the file would import is one that torch.load takes with weights_only=True; the"
    " pickle was read as data, and nothing of it was imported. Classes of TorchScript, whose code the archive holds "
    "itself, are not imported; that code is not judged.",
    defect="a pickle that calls os.system",
    severity=Severity.CRITICAL,
)


def judge(checkpoint: Checkpoint, run: Run) -> Judgement:
    """Compare the names in the pickle with the list."""
    layout = checkpoint.layout
    if layout.names is None:
        return not_applicable(f"{layout.format} holds no pickle")
    foreign = [name for name in layout.names if not is_allowed(name)]
    return judged(
        Measured(
            value=len(foreign),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="whoever loads a file of weights runs what it names; allowed is what torch.load takes with "
            f"weights_only=True; names in the pickle: {len(layout.names)}",
            unit="other names",
        ),
        otherwise=f"loading the file imports {listed(foreign)}",
        fix="save a state dict of tensors and plain values, or safetensors",
    )
