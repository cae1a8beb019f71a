"""A schedule that is one step ahead."""

import re
from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, text_of
from audit.mutation.operator import Around, Operator

_SCHEDULER = re.compile(r"sched|warmup", re.IGNORECASE)
_OPTIMIZER = re.compile(r"opt", re.IGNORECASE)


class SchedulerFirst(Operator):
    """The schedule steps before the optimiser does."""

    name = "scheduler_first"
    title = "the schedule steps before the optimiser"
    why = "the first learning rate is never used; torch warns once, in a log that nobody reads"
    equivalent = "where the schedule is constant"
    nodes = (cst.IndentedBlock,)
    EXAMPLES = (
        (
            "def f():\n    optimizer.step()\n    scheduler.step()\n",
            ("def f():\n    scheduler.step()\n    optimizer.step()\n",),
        ),
    )
    UNCHANGED = ("def f():\n    scheduler.step()\n    optimizer.step()\n", "def f():\n    optimizer.step()\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the block with the two statements exchanged."""
        assert isinstance(node, cst.IndentedBlock)
        steps = [(index, _stepping(statement)) for index, statement in enumerate(node.body)]
        optimizers = [
            index for index, text in steps if text and not _SCHEDULER.search(text) and _OPTIMIZER.search(text)
        ]
        for later in (index for index, text in steps if text and _SCHEDULER.search(text)):
            earlier = max((index for index in optimizers if index < later), default=None)
            if earlier is not None:
                body = list(node.body)
                body[earlier], body[later] = body[later], body[earlier]
                yield node.with_changes(body=body)


def _stepping(statement: cst.BaseStatement) -> str:
    """Return what takes a step in a statement of its own; empty for any other statement."""
    if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
        (only,) = statement.body
        if isinstance(only, cst.Expr) and isinstance(only.value, cst.Call) and called(only.value) == "step":
            return text_of(only.value)
    return ""
