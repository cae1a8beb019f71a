"""Loading a state dict that does not fit is not done in silence."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import build
from validation.smoke.model import RegisteredModel, listed

CHECK = Check(
    id="smoke.strict_loading",
    title="Missing and unexpected keys are told",
    proves="load_state_dict raises, or names the key in its answer, for a state dict without one of its keys (sixteen "
    "of them, spread over the dict), with a key more, and with a tensor of another shape.",
    defect="a load_state_dict that passes strict=False",
    severity=Severity.MAJOR,
)
REQUIRES = (build.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Count the altered state dicts that were taken in silence."""
    try:
        reply = model.call(run, "model_strict_loading")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("load",))
    told = table_of(reply, "told")
    if len(told) < 2:  # one with a key more there always is
        return error("the state dict has no key to leave out: smoke.save_load says so")
    silent = sorted(what for what, is_told in told.items() if is_told is not True)
    return judged(
        Measured(
            value=len(silent),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="torch.nn.Module.load_state_dict is strict unless it is told not to be; state dicts tried: "
            f"{len(told)}",
            unit="altered state dicts loaded in silence",
        ),
        otherwise=f"loaded in silence: a state dict {listed(silent)}",
        fix="let load_state_dict raise, or return the keys that it misses and does not expect",
    )
