"""TRN009: a checkpoint written over the one before it."""

import ast
from collections.abc import Iterator

from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Precision, Spot
from audit.static.rules.syntax import calls_in, last_name


class CheckpointNotAtomic(CallRule):
    """A run that is stopped while it writes leaves half a file."""

    id = "TRN009"
    title = "A checkpoint is written in place"
    what = "Reports `torch.save` in a loop whose function moves no file into place afterwards."
    why = "A run that is killed while it writes leaves a file that does not load, and the one before it is gone."
    fix = "write to a temporary file beside it, then os.replace"
    references = ("https://docs.python.org/3/library/os.html#os.replace",)
    default_on = False
    off_because = "names that hold the step do not overwrite anything, and most programs write in place"
    precision = Precision(findings=22, sampled=0, false=0)
    words = ("torch",)
    called = ("save",)
    VALID = (
        """
        import os

        import torch

        for step in range(9):
            torch.save(state, 'a.tmp')
            os.replace('a.tmp', 'a.pt')
        """,
        """
        import torch

        torch.save(state, 'a.pt')
        """,
    )
    INVALID = (
        """
        import torch

        for step in range(9):
            torch.save(state, 'a.pt')
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a save in a loop without a move."""
        if context.resolve(call) != "torch.save" or context.loop_of(call) is None:
            return
        moves = {last_name(each.func) for each in calls_in(context.index.scope(call))} & {"replace", "rename", "move"}
        if not moves:
            yield Spot(call, "the checkpoint is written in place")
