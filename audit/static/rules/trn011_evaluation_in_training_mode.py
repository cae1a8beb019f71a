"""TRN011: an evaluation of a model that is still in training mode."""

import ast
import re
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Rule, Spot
from audit.static.rules.syntax import calls_in, last_name, method, parameters, self_attribute

_EVALUATES = re.compile(
    r"^_?(?:evaluate|validate|evaluation|validation|eval_epoch|val_epoch|evaluate_epoch|validate_epoch|test_epoch|"
    r"run_eval|run_validation|evaluate_model|validate_model|eval_model|test_model)$"
)
_MODELS = frozenset({"model", "net", "network"})


class EvaluationInTrainingMode(Rule):
    """A caller may have switched the mode, which is looked for in the whole file."""

    id = "TRN011"
    title = "An evaluation loop without `model.eval()`"
    severity = Severity.MAJOR
    what = (
        "Reports a function such as `evaluate` with a loop that calls a model which it is given or which is "
        "`self.model`, in a file that calls neither `eval()` nor `train(False)` anywhere."
    )
    why = "Dropout stays on and batch norm uses and updates the statistics of the evaluation data: the score is wrong."
    fix = "call model.eval() before the loop, and model.train() after it"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.eval",)
    nodes = (ast.FunctionDef,)
    words = ("eval", "valid", "val_", "test_")
    VALID = (
        """
        import torch


        @torch.no_grad()
        def evaluate(model, loader):
            model.eval()
            return sum(model(x).sum() for x in loader)
        """,
        """
        import torch


        def evaluate(model, loader):
            for x in loader:
                y = model(x)


        def main(model, loader):
            model.train(False)
            evaluate(model, loader)
        """,
    )
    INVALID = (
        """
        import torch


        @torch.no_grad()
        def evaluate(model, loader):
            total = 0
            for x, y in loader:
                total += (model(x).argmax(-1) == y).sum()
            return total
        """,
        """
        import torch


        def validate(net, loader, loss):
            with torch.no_grad():
                for x, y in loader:
                    print(loss(net(x), y))
        """,
        """
        import torch


        class Trainer:
            @torch.inference_mode()
            def evaluate(self):
                for x in self.loader:
                    self.metric.update(self.model(x))
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield an evaluation in a file that never leaves training mode."""
        assert isinstance(node, ast.FunctionDef)
        if not _EVALUATES.match(node.name) or "torch" not in context.text or context.is_test:
            return
        given = {each.arg for each in parameters(node)} & _MODELS
        loops = [each for each in context.index.own(node) if isinstance(each, ast.For | ast.While)]
        calls = [call for loop in loops for call in calls_in(loop)]
        called = {last_name(call.func) for call in calls if isinstance(call.func, ast.Name)} & given
        called |= {name for call in calls if (name := self_attribute(call.func)) in _MODELS}
        switches = (
            each
            for name in ("eval", "train", "eval_mode", "set_eval", "set_mode", "evaluating")
            for each in context.calls_by_name.get(name, ())
        )
        if called and not any(method(each) != "train" or each.args or each.keywords for each in switches):
            yield Spot(
                node, f"`{node.name}` calls the model in a loop; nothing in the file puts it into evaluation mode"
            )
