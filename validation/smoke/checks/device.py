"""The devices that the target's interpreter has, and the one that a model asks for."""

from audit.judgement import Judgement, Measured, judged, skipped
from audit.plan import Run
from audit.replies import table_of, text_of
from audit.results import Check, Comparison, Severity
from validation.smoke.model import RegisteredModel

CHECK = Check(
    id="smoke.device",
    title="Every device computes",
    proves="Each device that torch names in the target's interpreter multiplies two matrices of whole numbers "
    "exactly; of a model whose spec asks for a kind of device, there is one of this kind.",
    defect="a GPU that is listed and whose driver does not match",
    severity=Severity.MAJOR,
)


def judge(run: Run, *, gpus: int | None = None) -> Judgement:
    """Have every device compute, of which at least so many must be GPUs; with 0, the processors alone."""
    return _judge(run, "cpu" if gpus == 0 else None, gpus=gpus or 0)


def judge_model(model: RegisteredModel, run: Run) -> Judgement:
    """Have the devices compute that the model's spec asks for."""
    if undeclared := model.undeclared():
        return undeclared
    return _judge(run, model.entry.device)


def _judge(run: Run, wanted: str | None, *, gpus: int = 0) -> Judgement:
    reply = run.probe.call("devices")
    devices = table_of(reply, "devices")
    without = None if reply.get("without_cuda") is None else text_of(reply, "without_cuda")
    chosen = sorted(name for name in devices if wanted in (None, name.partition(":")[0]))
    if not chosen:
        return skipped(f"its spec asks for {wanted}, and {without or f'torch finds no {wanted}'}")
    seen = [name for name in devices if name.partition(":")[0] == "cuda"]
    if len(seen) < gpus:
        found = f"torch finds {len(seen)}" if seen else without or "torch finds none"
        return skipped(f"needs {'a GPU' if gpus == 1 else f'{gpus} GPUs'}: {found}")
    told = {name: table_of(devices, name) for name in chosen}
    wrong = {
        name: "a wrong product" if each.get("raised") is None else text_of(each, "raised")
        for name, each in told.items()
        if each.get("right") is not True
    }
    names = ", ".join(f"{name} ({text_of(each, 'called')})" for name, each in told.items())
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="sums of whole numbers below 2^24 are exact in float32; devices: "
            + (f"{names}; {without}" if without else names),
            unit="devices that do not compute",
        ),
        otherwise="; ".join(f"{name}: {reason}" for name, reason in wrong.items()),
        fix="match the driver with the build of torch",
    )
