"""One file per check of a model. Each holds `CHECK`, `REQUIRES` and `judge(model, run)`.

To add one, write the file and name it in `MODEL_CHECKS`, before the last, which ends the process.
"""

from collections.abc import Callable
from dataclasses import dataclass

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check
from validation.smoke.checks import (
    accumulation,
    backward,
    batch_rows,
    build,
    checkpointing,
    compiled,
    determinism,
    exported,
    forward,
    frozen,
    gradcheck,
    input_gradients,
    inputs_untouched,
    low_precision,
    noncontiguous,
    optimizer_step,
    output_forms,
    overfits,
    padding_leaks,
    save_load,
    train_eval,
)
from validation.smoke.model import RegisteredModel


@dataclass(frozen=True, kw_only=True)
class ModelCheck:
    """A check, what must have passed before it, and the function that carries it out."""

    check: Check
    requires: tuple[str, ...]
    judge: Callable[[RegisteredModel, Run], Judgement]


MODEL_CHECKS = tuple(
    ModelCheck(check=module.CHECK, requires=module.REQUIRES, judge=module.judge)
    for module in (
        build,
        forward,
        determinism,
        backward,
        optimizer_step,
        output_forms,
        train_eval,
        batch_rows,
        padding_leaks,
        noncontiguous,
        inputs_untouched,
        input_gradients,
        frozen,
        gradcheck,
        checkpointing,
        accumulation,
        low_precision,
        overfits,
        save_load,
    )
)

# Carried out for all models by one process, beside the others: it loads torch's compiler.
CAPTURING = {module.CHECK: module.judge for module in (compiled, exported)}
