"""One file per check of a model. Each holds `CHECK`, `REQUIRES` and `judge(model, run)`.

To add one, write the file and name it in `MODEL_CHECKS`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check
from validation.smoke.checks import backward, build, determinism, forward, optimizer_step, save_load
from validation.smoke.model import RegisteredModel


@dataclass(frozen=True, kw_only=True)
class ModelCheck:
    """A check, what must have passed before it, and the function that carries it out."""

    check: Check
    requires: tuple[str, ...]
    judge: Callable[[RegisteredModel, Run], Judgement]


MODEL_CHECKS = tuple(
    ModelCheck(check=module.CHECK, requires=module.REQUIRES, judge=module.judge)
    for module in (build, forward, determinism, backward, optimizer_step, save_load)
)
