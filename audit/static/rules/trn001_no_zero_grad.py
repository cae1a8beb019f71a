"""TRN001: a training loop that never clears the gradients."""

import ast
from collections.abc import Callable, Iterator

from audit.severity import Severity
from audit.static.fixes.edits import Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.fixes.statements import line_after
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Rule, Spot
from audit.static.rules.syntax import last_name
from audit.static.rules.training_forms import backward_calls, optimizer_steps, stepped


class NoZeroGrad(Rule):
    """Gradients add up until somebody clears them."""

    id = "TRN001"
    title = "A training loop that never clears the gradients"
    severity = Severity.MAJOR
    what = (
        "Reports a loop that calls `backward()` and the `step()` of an optimizer where nothing in the function "
        "clears gradients: no `zero_grad`, no `grad = None`, no `torch.autograd.grad`."
    )
    why = "Each step moves along the sum of all gradients so far: the learning rate grows with the number of steps."
    fix = "call optimizer.zero_grad() in the loop"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html",)
    nodes = (ast.For, ast.AsyncFor, ast.While)
    words = ("backward",)
    VALID = (
        """
        for x in loader:
            optimizer.zero_grad()
            loss(x).backward()
            optimizer.step()
        """,
        """
        for x in loader:
            loss(x).backward()
            optimizer.step()
            model.weight.grad = None
        """,
        """
        for x in loader:
            loss(x).backward()
        """,
        """
        for x in starts:
            opt = SGD([x], lr=0.1)
            loss(x).backward()
            opt.step()
        """,
        """
        for x in loader:
            engine.backward(loss(x))
            engine.step()
        """,
        """
        for x in loader:
            optimizer.zero_grad()
            scaler.scale(loss(x)).backward()
            scaler.step(optimizer)
            scaler.update()
        """,
    )
    INVALID = (
        """
        for x in loader:
            loss(x).backward()
            optimizer.step()
        """,
        """
        def train(loader, opt):
            for x in loader:
                loss = model(x)
                loss.backward()
                opt.step()
        """,
        """
        for x in loader:
            scaler.scale(loss(x)).backward()
            scaler.step(optimizer)
            scaler.update()
        """,
    )
    FIXED = (
        (
            """
            for x in loader:
                loss(x).backward()
                optimizer.step()  # one step
            """,
            """
            for x in loader:
                loss(x).backward()
                optimizer.step()  # one step
                optimizer.zero_grad()
            """,
        ),
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield the step of an optimizer whose gradients are never cleared."""
        own = [call for call in context.index.own(node) if isinstance(call, ast.Call)]
        made_here = {
            found.id
            for found in context.index.own(node)
            if isinstance(found, ast.Name) and isinstance(found.ctx, ast.Store)
        }
        steps = [
            call
            for call in optimizer_steps(own, context)
            if context.loop_of(call) is node and _name_of(call, context) not in made_here
        ]
        if steps and backward_calls(own) and not _clears(context.index.scope(node)):
            message = f"`{ast.unparse(steps[0].func)}` runs in a loop in which no gradient is ever cleared"
            yield Spot(steps[0], message, edits=_edits(steps[0], context))


def _name_of(step: ast.Call, context: FileContext) -> str:
    of = stepped(step, context)
    return last_name(of) if of is not None else ""


def _edits(step: ast.Call, context: FileContext) -> Callable[[SourceText], Fix | None] | None:
    """Return the fix that clears the gradients right behind a step that is a statement of its own."""
    statement, of = context.parent(step), stepped(step, context)
    if not isinstance(statement, ast.Expr) or of is None:
        return None
    line = f"{ast.unparse(of)}.zero_grad()"
    return lambda source: fix(line_after(statement, line, source), FixSafety.UNSAFE)


def _clears(scope: ast.AST) -> bool:
    """Return whether a function clears gradients, or calls something that says so."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Attribute) and node.attr == "grad":
            return True
        if isinstance(node, ast.Call) and ("zero" in last_name(node.func) or "clear" in last_name(node.func)):
            return True
    return False
