"""How training is written: which call is an optimizer's step, a scheduler's, a backward pass."""

import ast
import re
from collections.abc import Iterable

from audit.static.rules.context import FileContext
from audit.static.rules.syntax import last_name, method, receiver

_OPTIMIZER = re.compile(r"^_?(?:\w+_)?(?:opt|optim|optimizer|optimiser)(?:_\w+)?$")
_SCHEDULER = re.compile(r"^_?(?:\w+_)?(?:lr_scheduler|lr_sched|scheduler|sched)$")
_OPTIMIZERS = "torch.optim."
_SCHEDULERS = "torch.optim.lr_scheduler."


def optimizer_steps(calls: Iterable[ast.AST], context: FileContext) -> list[ast.Call]:
    """Return the calls that make an optimizer step: `optimizer.step()` and `scaler.step(optimizer)`."""
    return [call for call in calls if isinstance(call, ast.Call) and stepped(call, context) is not None]


def stepped(call: ast.Call, context: FileContext) -> ast.expr | None:
    """Return the optimizer that a call makes step, known by the class that made it or by its name; None of another."""
    of = receiver(call) if method(call) == "step" else None
    if of is None:
        return None
    if _is_optimizer(of, context):
        return of
    first = call.args[0] if call.args else None
    return first if first is not None and _is_scaler(of, context) and _is_optimizer(first, context) else None


def _is_optimizer(of: ast.expr, context: FileContext) -> bool:
    made = context.resolve(context.value_of(of))
    if made.startswith(_SCHEDULERS):
        return False
    return made.startswith(_OPTIMIZERS) or bool(_OPTIMIZER.match(last_name(of)) and not _SCHEDULER.match(last_name(of)))


def _is_scaler(of: ast.expr, context: FileContext) -> bool:
    made = context.resolve(context.value_of(of))
    return made.endswith(".GradScaler") or last_name(of).endswith("scaler")


def is_scheduler(call: ast.Call, context: FileContext) -> bool:
    """Return whether a call is the `step()` of a learning-rate scheduler; one with arguments may be another thing."""
    of = receiver(call) if method(call) == "step" and not call.args and not call.keywords else None
    if of is None:
        return False
    made = context.resolve(context.value_of(of))
    return made.startswith(_SCHEDULERS) or bool(_SCHEDULER.match(last_name(of)))


def backward_calls(calls: Iterable[ast.AST]) -> list[ast.Call]:
    """Return the calls `x.backward(...)` of a tensor: those without arguments or with keywords only."""
    return [call for call in calls if isinstance(call, ast.Call) and method(call) == "backward" and not call.args]


def differentiated(call: ast.Call) -> str:
    """Return `loss` for `loss.backward()` and `scaler.scale(loss).backward()`, else an empty text."""
    of = receiver(call) if method(call) == "backward" else None
    if isinstance(of, ast.Call) and method(of) == "scale" and of.args:
        of = of.args[0]
    return of.id if isinstance(of, ast.Name) else ""


def scaled_backward(call: ast.Call) -> str:
    """Return `scaler` for `scaler.scale(loss).backward()`, else an empty text."""
    of = receiver(call) if method(call) == "backward" else None
    if not isinstance(of, ast.Call) or method(of) != "scale":
        return ""
    scaler = receiver(of)
    return ast.unparse(scaler) if scaler is not None else ""
