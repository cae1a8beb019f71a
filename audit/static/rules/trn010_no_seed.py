"""TRN010: a training script that sets no seed."""

import ast
from collections.abc import Iterator

from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.syntax import calls_in
from audit.static.rules.training_forms import backward_calls, optimizer_steps


class NoSeed(Rule):
    """Two runs of such a script cannot be compared."""

    id = "TRN010"
    title = "A training script sets no seed"
    what = "Reports a script with a `__main__` part and a training loop in which nothing is named after a seed."
    why = "Whether a change made the model better or the weights began better cannot be told."
    fix = "call torch.manual_seed with a number that the log shows"
    references = ("https://docs.pytorch.org/docs/stable/notes/randomness.html",)
    default_on = False
    off_because = "the seed may be set by a helper or a framework that the file only imports"
    nodes = (ast.If,)
    words = ("__main__",)
    VALID = (
        """
        import torch

        if __name__ == '__main__':
            torch.manual_seed(0)
            for x in loader:
                opt.zero_grad()
                f(x).backward()
                opt.step()
        """,
    )
    INVALID = (
        """
        import torch

        if __name__ == '__main__':
            for x in loader:
                opt.zero_grad()
                f(x).backward()
                opt.step()
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield the `__main__` part of a script that trains without a seed."""
        assert isinstance(node, ast.If)
        if "__main__" not in ast.unparse(node.test) or "seed" in context.text.lower():
            return
        calls = list(calls_in(context.index.tree))
        if list(backward_calls(calls)) and list(optimizer_steps(calls, context)):
            yield Spot(node.test, "the script trains, and no seed is set")
