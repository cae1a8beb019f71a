"""The constructor gives every weight a value, a finite one, and of a size from which training can begin."""

import math
from collections.abc import Mapping

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import number_of, table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import build
from validation.smoke.model import RegisteredModel, listed

CHECK = Check(
    id="smoke.initialisation",
    title="Every weight is initialised, finite and of a usual size",
    proves="Built in memory full of NaN, no parameter and no buffer keeps any of it; none is NaN and no parameter is "
    "infinite; no weight of a linear or convolutional layer has a larger root mean square than the published schemes "
    "give it.",
    defect="a parameter that is torch.empty and never filled",
    severity=Severity.CRITICAL,
)
REQUIRES = (build.CHECK.id,)

_LARGEST_GAIN = 5 / 3  # of torch.nn.init.calculate_gain: tanh; ReLU has sqrt(2) (He et al. 2015, equation 10)
_DEVIATIONS = 6.0  # a normal estimate is further off in one of 10^9 layers


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Look for what was left uninitialised, then for what is not finite, then at the size of weights."""
    try:
        reply = model.call(run, "model_initialisation")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("build",))
    if not reply.get("poisons"):
        return error("torch does not fill memory with NaN here, so what is left uninitialised cannot be seen")
    tensors = {key: _table(each) for key, each in table_of(reply, "tensors").items()}
    if not tensors:
        return error("the model holds no tensor")
    for what, key in (("are never initialised", "poison"), ("are not finite", "nonfinite")):
        found = {name: number_of(each, key) for name, each in tensors.items() if number_of(each, key)}
        if found:
            measured = Measured(
                value=sum(found.values()),
                bound=0,
                comparison=Comparison.EQUAL,
                origin="what a constructor leaves is whatever the memory held before",
                unit="elements",
            )
            shown = listed(f"{name}: {count:g} elements" for name, count in sorted(found.items()))
            return failed(f"{shown} {what}", measured=measured, fix="fill it in the constructor")
    layers = {name: _ratio(_table(each)) for name, each in table_of(reply, "layers").items()}
    widest = max(layers, key=lambda name: layers[name], default=None)
    return judged(
        Measured(
            value=layers[widest] if widest is not None else 0.0,
            bound=1.0,
            origin=f"gain / sqrt(fan) of Glorot & Bengio 2010 and He et al. 2015 with the smaller of the two fans and "
            f"the largest gain of torch.nn.init, 5/3, and {_DEVIATIONS:g} standard errors of the estimate; "
            f"tensors built in poisoned memory: {len(tensors)}; layers measured: {len(layers)}"
            + (f", of which {widest} is the widest" if widest is not None else ""),
            unit="root mean square of a weight / the largest that a published scheme gives it",
        ),
        otherwise=f"weights begin too large: {listed(_told(layers))}",
        fix="initialise with torch.nn.init, by the number of inputs or outputs",
    )


def _table(value: Plain) -> Mapping[str, Plain]:
    if not isinstance(value, dict):
        raise ProbeFailure("the target's process sent a malformed table")
    return value


def _ratio(layer: Mapping[str, Plain]) -> float:
    """Return the size of a weight as a share of the largest usual one.

    The mean square of n draws has a relative standard error of at most sqrt(2 / n), that of normal ones; its root has
    half of it.
    """
    fan = max(1.0, min(number_of(layer, "fan_in"), number_of(layer, "fan_out")))
    uncertain = 1 + _DEVIATIONS * math.sqrt(1 / (2 * number_of(layer, "elements")))
    return number_of(layer, "rms") / (_LARGEST_GAIN / math.sqrt(fan) * uncertain)


def _told(layers: Mapping[str, float]) -> list[str]:
    large = sorted((name for name in layers if layers[name] > 1), key=lambda name: -layers[name])
    return [f"{name or 'the model itself'}: {layers[name]:.3g} times" for name in large]
