"""The checks of a file of weights, in the order in which they are carried out."""

from collections.abc import Callable
from dataclasses import dataclass

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check
from validation.readiness.checkpoints.checks import constant, finite, layout, pickled_names, whole
from validation.readiness.checkpoints.file import Checkpoint


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """A check with what must have passed before it, and how it judges a file."""

    check: Check
    judge: Callable[[Checkpoint, Run], Judgement]
    requires: tuple[str, ...] = ()


FILE_CHECKS = (
    FileCheck(check=whole.CHECK, judge=whole.judge),
    *(
        FileCheck(check=module.CHECK, judge=module.judge, requires=requires)
        for module, requires in (
            (layout, (whole.CHECK.id,)),
            (pickled_names, (layout.CHECK.id,)),
            (finite, (layout.CHECK.id,)),
            (constant, (layout.CHECK.id,)),
        )
    ),
)
