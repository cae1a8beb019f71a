"""Which expressions surely are the result of a softmax, as far as one file tells."""

import ast
from collections.abc import Sequence

from audit.static.rules.context import FileContext
from audit.static.rules.syntax import Function, argument, method, number, parameters, receiver, self_attribute, unpacks

_FUNCTIONS = frozenset({"torch.softmax", "torch.special.softmax", "torch.nn.functional.softmax"})
_LAYERS = frozenset({"torch.nn.Softmax", "torch.nn.Softmax2d"})
_LOSS_FUNCTIONS = frozenset({"torch.nn.functional.cross_entropy", "torch.nn.functional.nll_loss"})
_LOSS_CLASSES = frozenset({"torch.nn.CrossEntropyLoss", "torch.nn.NLLLoss"})
# They change where numbers lie, or their dtype, and not what they are.
_VIEWS = frozenset(
    {"view", "reshape", "flatten", "transpose", "permute", "contiguous", "squeeze", "unsqueeze", "float", "double",
     "to", "half", "cpu", "cuda", "t", "clone"}
)  # fmt: skip
# Of a module they return the module.
_SAME_MODULE = frozenset({"to", "cuda", "cpu", "train", "eval", "float", "half", "double", "requires_grad_"})
_MOST_STEPS = 12  # definitions followed from a call: through names, parameters, attributes and returns


def loss_called(call: ast.Call, context: FileContext) -> str | None:
    """Return the name of the cross entropy or likelihood that `call` computes; None where it is not surely one."""
    if (name := context.resolve(call)) in _LOSS_FUNCTIONS:
        return name.rpartition(".")[2]
    made = _meanings(call.func, context, _MOST_STEPS)
    names = {context.resolve(each) if isinstance(each, ast.Call) else "" for each in made}
    if names and names <= _LOSS_CLASSES:
        return min(names).rpartition(".")[2]
    return None


def are_probabilities(expression: ast.expr, context: FileContext, steps: int = _MOST_STEPS) -> bool:
    """Return whether whatever `expression` may stand for is the result of a softmax."""
    found = _meanings(expression, context, steps)
    return bool(found) and all(_is_softmax(each, context, steps - 1) for each in found)


def _is_softmax(expression: ast.expr, context: FileContext, steps: int) -> bool:
    if steps <= 0:
        return False
    if isinstance(expression, ast.Subscript):
        return are_probabilities(expression.value, context, steps)
    if not isinstance(expression, ast.Call):
        return False
    if context.resolve(expression) in _FUNCTIONS:
        return True
    of = receiver(expression)
    if of is not None and not context.resolve(expression):
        if method(expression) == "softmax" and _names_axis(expression):
            return True
        if method(expression) in _VIEWS:
            return are_probabilities(of, context, steps)
    if isinstance(expression.func, ast.Name) and expression.func.id == "self":
        return _returns_softmax(context.model_of(context.function_of(expression)), context, steps)
    made = _meanings(expression.func, context, steps)
    return bool(made) and all(_gives_softmax(each, context, steps - 1) for each in made)


def _names_axis(call: ast.Call) -> bool:
    """Return whether a call of `softmax` is that of a tensor, which is given an axis, and not that of a layer."""
    axis = argument(call, "dim", 0)
    return axis is not None and (number(axis) is not None or any(each.arg == "dim" for each in call.keywords))


def _gives_softmax(module: ast.expr, context: FileContext, steps: int) -> bool:
    """Return whether an expression makes a module whose every output is the result of a softmax."""
    if not isinstance(module, ast.Call) or steps <= 0:
        return False
    name = context.resolve(module)
    if name == "torch.nn.Sequential":
        return bool(module.args) and not unpacks(module) and _gives_softmax(module.args[-1], context, steps - 1)
    if name or not context.creates_own_model(module):
        return name in _LAYERS
    assert isinstance(module.func, ast.Name)
    named = [each for each in context.index.tree.body if isinstance(each, ast.ClassDef) and each.name == module.func.id]
    return len(named) == 1 and _returns_softmax(named[0], context, steps)


def _returns_softmax(model: ast.ClassDef | None, context: FileContext, steps: int) -> bool:
    """Return whether all that `forward` of a model returns is the result of a softmax."""
    methods = [each for each in (model.body if model else []) if isinstance(each, Function) and each.name == "forward"]
    if len(methods) != 1 or steps <= 0:
        return False
    own = context.index.own(methods[0])
    if any(isinstance(each, ast.Yield | ast.YieldFrom) for each in own):
        return False
    values = [each.value for each in own if isinstance(each, ast.Return)]
    return bool(values) and all(each is not None and are_probabilities(each, context, steps) for each in values)


def _meanings(expression: ast.expr, context: FileContext, steps: int) -> Sequence[ast.expr]:
    """Return all that an expression may stand for: through names, parameters and attributes; none where unknown."""
    if steps <= 0:
        return ()
    if isinstance(expression, ast.IfExp):
        return _all_of([expression.body, expression.orelse], context, steps)
    if isinstance(expression, ast.Call) and method(expression) in _SAME_MODULE:
        of = receiver(expression)
        inner = _meanings(of, context, steps - 1) if of is not None else ()
        if inner and all(context.creates_model(each) for each in inner):
            return inner
    if name := self_attribute(expression):
        return _of_attribute(expression, name, context, steps)
    if not isinstance(expression, ast.Name):
        return (expression,)
    bound = context.value_at(expression)
    if bound is not expression:
        return _meanings(bound, context, steps - 1)
    function = context.function_of(expression)
    if function is None:
        return ()
    if expression.id in {each.arg for each in parameters(function)}:
        return _of_parameter(function, expression.id, context, steps)
    if expression.id in context.assignments(function):
        return ()
    at_top = context.assignments(context.index.tree).get(expression.id, [])
    known = [each for each in at_top if each is not None]
    return _all_of(known, context, steps) if known and len(known) == len(at_top) else ()


def _all_of(found: Sequence[ast.expr], context: FileContext, steps: int) -> Sequence[ast.expr]:
    """Return what all of these may stand for; none where one of them is not known."""
    each = [_meanings(one, context, steps - 1) for one in found]
    return [value for values in each for value in values] if all(each) else ()


def _of_attribute(expression: ast.expr, name: str, context: FileContext, steps: int) -> Sequence[ast.expr]:
    """Return what the class around binds `self.name` to, where it does so once."""
    owner = _class_around(expression, context)
    held = [
        each.value
        for each in context.set_attributes
        if self_attribute(each.targets[0]) == name and _class_around(each, context) is owner
    ]
    return _meanings(held[0], context, steps - 1) if owner is not None and len(held) == 1 else ()


def _class_around(node: ast.AST, context: FileContext) -> ast.ClassDef | None:
    return next((each for each in context.ancestors(node) if isinstance(each, ast.ClassDef)), None)


def _of_parameter(function: Function, name: str, context: FileContext, steps: int) -> Sequence[ast.expr]:
    """Return what all calls in the file give a function at the top of it for a parameter that it never rebinds."""
    if len(context.assignments(function).get(name, ())) != 1 or context.function_of(function) is not None:
        return ()
    if context.class_of(function) is not None or len(context.functions_by_name[function.name]) != 1:
        return ()
    position = [each.arg for each in parameters(function)].index(name)
    calls = [call for call in context.calls_by_name.get(function.name, ()) if isinstance(call.func, ast.Name)]
    given = [None if unpacks(call) else argument(call, name, position) for call in calls]
    known = [each for each in given if each is not None]
    return _all_of(known, context, steps) if known and len(known) == len(given) else ()
