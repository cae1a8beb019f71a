"""What a model offers beside its forward infers, and does nothing else."""

from collections.abc import Mapping

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import number_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import determinism
from validation.smoke.compare import difference, unusable
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.inference",
    title="What infers does nothing else",
    proves="Each function that is declared as `inference`, called in eval mode, returns finite tensors, the same with "
    "an equal generator, keeps no graph in any forward under it, and leaves its inputs, parameters, buffers, the mode "
    "and the global generator as they were.",
    defect="a sampler without torch.no_grad()",
    severity=Severity.MAJOR,
)
REQUIRES = (determinism.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Call each function twice, and look at what came of it."""
    if model.entry.inference is None:
        return not_applicable("the specs declare no `inference`")
    try:
        reply = model.call_on_batch(run, "model_infers")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("inference",))
    calls = reply.get("calls")
    if not isinstance(calls, dict) or not calls:
        raise ProbeFailure("the target's process sent no account of what infers")
    wrong: list[tuple[str, str]] = []
    for index, (name, call) in enumerate(calls.items()):
        if not isinstance(call, dict):
            raise ProbeFailure("the target's process sent a malformed account of what infers")
        first, second = (tensors_of(reply, f"{which}.{index}") for which in ("first", "second"))
        if not first:
            return error(f"{name} returned no tensor: there is nothing to judge")
        if not number_of(call, "forwards"):
            return error(f"{name} ran no module of the model: nothing was tested")
        wrong += [(f"{name} {what}", fix) for what, fix in _faults(call)]
        if problem := unusable(first):
            wrong.append((f"{name} returned what cannot be used: {problem}", "return finite numbers"))
        elif first.keys() != second.keys() or difference(first, second):
            wrong.append((f"{name} returned something else with an equal generator", "draw from the generator alone"))
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"each of {', '.join(map(str, calls))} called twice: graphs kept, modes and parameters changed, "
            "numbers that are not finite, draws from another generator",
            unit="faults",
        ),
        otherwise="; ".join(what for what, _ in wrong),
        fix="; ".join(dict.fromkeys(fix for _, fix in wrong)) or None,
    )


# What a call may leave changed, each with what is said of it and what to do about it.
_LEFT = {
    "mode": ("left the model in another mode", "leave the mode as it was"),
    "moved": ("changed a parameter, a buffer, or whether one wants gradients", "change no state"),
    "disabled": ("left gradients switched off for the process", "use torch.no_grad() as a context or a decorator"),
    "drew": ("drew from the global generator, or seeded it", "draw from the generator that is given"),
    "wrote": ("wrote into its inputs", "copy what is changed"),
}


def _faults(call: Mapping[str, Plain]) -> list[tuple[str, str]]:
    """Return what a call did beside inferring, each with what to do about it."""
    faults = [said for key, said in _LEFT.items() if call.get(key) is not False and call.get(key) != 0]
    if graphs := int(number_of(call, "graphs")):
        forwards = int(number_of(call, "forwards"))
        what = f"kept a graph in {graphs} of {forwards} forwards and results"
        faults.append((what, "call the model under torch.no_grad()"))
    return faults
