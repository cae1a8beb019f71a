"""A forward pass changes nothing outside of its output: no setting of torch, no seed, not its own mode."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of, table_of, text_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import build
from validation.smoke.model import RegisteredModel, listed

CHECK = Check(
    id="smoke.global_state",
    title="Forward leaves the process as it was",
    proves="Forward in eval mode, and a training step as far as it runs, leave torch's settings (default dtype and "
    "device, gradients, autocast, threads, determinism, precision, kernels), the mode of the model and the random "
    "numbers as they were: nothing is switched or seeded for what runs afterwards.",
    defect="torch.manual_seed(0) in forward, after which every epoch draws the same numbers",
    severity=Severity.MAJOR,
)
REQUIRES = (build.CHECK.id,)  # before all that calls it, whose settings would be those that it left


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare settings and generators before and after."""
    try:
        reply = model.call_on_batch(run, "model_global_state")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=())  # smoke.forward judges whether it answers
    changed = [f"{name} {text_of(table, name)}" for table in [table_of(reply, "changed")] for name in table]
    changed += [f"{name} is seeded" for name in names_of(reply, "reseeded")]
    why = text_of(reply, "raised")
    stopped = f"; the training step raised {why}, which smoke.backward judges" if why else ""
    return judged(
        Measured(
            value=len(changed),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="whatever runs in the same process afterwards, the optimizer and the next batch among it, depends "
            f"on these; a call answers by its output{stopped}",
            unit="settings, seeds and modes that are left changed",
        ),
        otherwise=f"a call leaves changed what others depend on: {listed(changed)}",
        fix="use the context managers (torch.no_grad, torch.autocast, torch.random.fork_rng), or a generator and a "
        "dtype of the model's own, and leave train() and eval() to the caller",
    )
