"""The smoke checks of models and data sets, in their order. Loading them loads torch: import this when it is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from audit.judgement import Judgement
from audit.plan import Run
from audit.plugin_checks import check_in
from audit.plugins import SMOKE_CHECKS, Loaded, loaded, values
from audit.results import Check
from validation.smoke.checks import (
    accumulation,
    backward,
    batch_rows,
    build,
    checkpointing,
    compiled,
    copies,
    data_items,
    data_order,
    data_splits,
    data_workers,
    declared_frozen,
    determinism,
    exported,
    forward,
    frozen,
    future_leaks,
    generates,
    global_state,
    gradcheck,
    inference,
    initial_loss,
    initialisation,
    input_gradients,
    inputs_untouched,
    low_precision,
    memory,
    next_token,
    noncontiguous,
    optimizer_step,
    output_forms,
    overfits,
    padded_rows,
    padding_leaks,
    registered,
    residual,
    safetensors,
    sample_order,
    save_load,
    strict_loading,
    tied_weights,
    train_eval,
)
from validation.smoke.dataset import DeclaredData
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
        initialisation,
        strict_loading,
        tied_weights,
        global_state,
        forward,
        initial_loss,
        registered,
        declared_frozen,
        determinism,
        copies,
        backward,
        optimizer_step,
        output_forms,
        train_eval,
        batch_rows,
        sample_order,
        padding_leaks,
        padded_rows,
        future_leaks,
        residual,
        inference,
        generates,
        next_token,
        noncontiguous,
        inputs_untouched,
        input_gradients,
        frozen,
        gradcheck,
        checkpointing,
        accumulation,
        low_precision,
        overfits,
        memory,
        safetensors,
        save_load,
    )
)


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """The same of a declared data set."""

    check: Check
    requires: tuple[str, ...]
    judge: Callable[[DeclaredData, Run], Judgement]


DATA_CHECKS = tuple(
    DataCheck(check=module.CHECK, requires=module.REQUIRES, judge=module.judge)
    for module in (data_items, data_workers, data_order, data_splits)
)

# Carried out for all models by one process, beside the others: it loads torch's compiler.
CAPTURING = {module.CHECK: module.judge for module in (compiled, exported)}


@cache
def plugged_checks() -> tuple[Loaded[ModelCheck], ...]:
    """Return the checks of plug-ins, and why some could not be loaded."""
    taken = [each.check.id for each in MODEL_CHECKS] + [each.check.id for each in DATA_CHECKS]

    def read(module: object) -> ModelCheck:
        check, judge = check_in(module, "smoke", taken)
        requires = getattr(module, "REQUIRES", None)
        if not isinstance(requires, tuple) or not all(isinstance(each, str) for each in requires):
            raise ValueError("the module must have REQUIRES, a tuple of the ids of checks that must have passed")
        taken.append(check.id)
        return ModelCheck(check=check, requires=requires, judge=judge)

    return loaded(SMOKE_CHECKS, read)


def all_model_checks() -> tuple[ModelCheck, ...]:
    """Return our own and those of plug-ins."""
    return (*MODEL_CHECKS, *values(plugged_checks()))
