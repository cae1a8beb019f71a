"""TRN008: an evaluation that builds graphs."""

import ast
import re
from collections.abc import Callable, Iterator

from audit.static.fixes.edits import Fix, fix
from audit.static.fixes.importing import reference
from audit.static.fixes.source import SourceText
from audit.static.fixes.statements import line_before
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Rule, Spot
from audit.static.rules.syntax import calls_in, last_name

_EVALUATES = re.compile(r"^(?:evaluate|validate|evaluation|validation|eval_epoch|val_epoch|run_eval|run_validation)$")
_NO_GRAD = frozenset({"no_grad", "inference_mode", "set_grad_enabled"})


class EvaluationWithGradients(Rule):
    """The callers may hold the context, so this is off by default."""

    id = "TRN008"
    title = "An evaluation loop without `no_grad`"
    what = (
        "Reports a function such as `evaluate` with a loop that calls a model, where neither the function nor a "
        "decorator mentions `no_grad`, `inference_mode` or `backward`."
    )
    why = "Each batch builds a graph that nothing uses: about twice the memory, and the losses kept hold all of it."
    fix = "put torch.no_grad() or torch.inference_mode() around the loop"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/notes/autograd.html#locally-disable-grad-doc",)
    default_on = False
    off_because = "a caller may hold the context, which one file does not show"
    nodes = (ast.FunctionDef,)
    words = ("val",)
    VALID = (
        """
        import torch


        @torch.no_grad()
        def evaluate(model, loader):
            for x in loader:
                y = model(x)
        """,
        """
        import torch


        def evaluate(model, loader):
            with torch.inference_mode():
                for x in loader:
                    y = model(x)
        """,
    )
    INVALID = (
        """
        import torch


        def evaluate(model, loader):
            model.eval()
            for x in loader:
                y = model(x)
        """,
    )
    FIXED = (
        (
            """
            import torch


            def evaluate(model, loader):
                model.eval()
                for x in loader:
                    y = model(x)
            """,
            """
            import torch


            @torch.no_grad()
            def evaluate(model, loader):
                model.eval()
                for x in loader:
                    y = model(x)
            """,
        ),
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield an evaluation that never switches gradients off."""
        assert isinstance(node, ast.FunctionDef)
        if not _EVALUATES.match(node.name) or "torch" not in context.text:
            return
        names = {last_name(each) for each in context.index.below(node) if isinstance(each, ast.Name | ast.Attribute)}
        loops = [each for each in context.index.own(node) if isinstance(each, ast.For)]
        calls_model = any(
            last_name(call.func) in ("model", "net", "network") for loop in loops for call in calls_in(loop)
        )
        if calls_model and not names & {*_NO_GRAD, "backward"}:
            message = f"`{node.name}` calls the model in a loop and never switches gradients off"
            yield Spot(node, message, edits=_edits(node, context))


def _edits(node: ast.FunctionDef, context: FileContext) -> Callable[[SourceText], Fix | None]:
    def edits(source: SourceText) -> Fix | None:
        named = reference("torch.no_grad", context, source, at=node)
        line = line_before(node, f"@{named[0]}()", source) if named else None
        return fix([*named[1], *line], FixSafety.UNSAFE) if named and line else None

    return edits
