"""One file per check. Those of a model hold `CHECK`, `REQUIRES` and `judge(model, run)`, those of data sets the same.

To add one, write the file and name it in `MODEL_CHECKS` or `DATA_CHECKS`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check
from validation.smoke.checks import (
    backward,
    build,
    copies,
    data_items,
    data_order,
    data_splits,
    data_workers,
    determinism,
    forward,
    initial_loss,
    initialisation,
    memory,
    optimizer_step,
    registered,
    safetensors,
    save_load,
    strict_loading,
    tied_weights,
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
        forward,
        initial_loss,
        registered,
        determinism,
        copies,
        backward,
        optimizer_step,
        memory,
        safetensors,
        save_load,  # last, for it ends the process
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
