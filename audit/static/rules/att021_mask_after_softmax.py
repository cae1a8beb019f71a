"""ATT021: a mask that hides keys after the softmax has shared the weight among all of them."""

import ast
from collections.abc import Iterator, Sequence

from audit.severity import Severity
from audit.static.rules.attention_forms import is_product, softmax_input
from audit.static.rules.calls import CallRule
from audit.static.rules.context import MAX_STEPS, FileContext
from audit.static.rules.masks_of_keys import VIEWS, hides_keys
from audit.static.rules.rule import Spot
from audit.static.rules.syntax import constant, last_name, method, receiver

_FILLS = frozenset({"masked_fill", "masked_fill_"})
_SHARED_ANEW = frozenset({"sum", "nansum", "normalize", "softmax", "renormalize", "norm", "logsumexp", "cumsum"})
_MASKING = _FILLS | {"where", "add", "add_", "baddbmm"}
_TRIANGLES = frozenset({"tril", "triu", "tril_", "triu_"})
_MODULES = frozenset({"torch", "F", "nn", "self", "np", "math", "float", "einops"})


class MaskAfterSoftmax(CallRule):
    """A softmax over all keys gives each its share; what is taken from the hidden ones is given to no other."""

    id = "ATT021"
    title = "A mask hides keys after the softmax"
    severity = Severity.MAJOR
    what = (
        "Reports weights that are multiplied by a mask of keys, filled with a number where it hides, or cut to a "
        "triangle, after the softmax of a product of queries and keys, and multiply the values without being divided "
        "by their sum. Masks of heads, of queries and of rows that may attend to nothing are left out, and so is one "
        "that the scores were given before."
    )
    why = (
        "The hidden keys have taken part in the sum: the weights of the others do not sum to 1, and outputs depend on "
        "what is hidden. With -inf in place of 0 they hold no number."
    )
    fix = "hide the keys in the scores: scores.masked_fill(~keep, float('-inf')).softmax(dim=-1)"
    references = ("https://arxiv.org/abs/1706.03762",)
    words = ("softmax",)
    called = ("softmax",)
    VALID = (
        """
        def attend(q, k, v, mask):
            scores = q @ k.transpose(-2, -1)
            scores = scores.masked_fill(~mask, float('-inf'))
            return scores.softmax(dim=-1) @ v
        """,
        """
        def attend(q, k, v, mask):
            scores = (q @ k.transpose(-2, -1)).masked_fill(~mask, float('-inf'))
            weights = scores.softmax(dim=-1).masked_fill(~mask, 0.0)
            return weights @ v
        """,
        """
        def attend(q, k, v, mask):
            weights = (q @ k.transpose(-2, -1)).softmax(dim=-1)
            weights = weights * mask
            weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-6)
            return weights @ v
        """,
        """
        def attend(q, k, v, mask):
            scores = (q @ k.mT).masked_fill(~mask, float('-inf'))
            all_masked = ~mask.any(dim=-1, keepdim=True)
            weights = scores.softmax(dim=-1).masked_fill(all_masked, 0.0)
            return weights @ v
        """,
        """
        def attend(q, k, v, empty):
            weights = (q @ k.mT).softmax(dim=-1)
            weights = weights.masked_fill(empty.all(dim=-1, keepdim=True), 0.0)
            return weights @ v
        """,
        """
        def attend(q, k, v, head_mask=None):
            weights = (q @ k.mT).softmax(dim=-1)
            if head_mask is not None:
                weights = weights * head_mask
            return weights @ v
        """,
        """
        import torch


        def attend(q, k, v, p):
            weights = (q @ k.mT).softmax(dim=-1)
            keep = torch.rand_like(weights) > p
            return (weights * keep) @ v
        """,
        """
        def attend(q, k, v, mask):
            weights = (q @ k.mT).softmax(dim=-1)
            weights = weights * mask.unsqueeze(-1)
            return weights @ v
        """,
        """
        def rollout(q, k, mask):
            weights = (q @ k.mT).softmax(dim=-1)
            return weights * mask
        """,
        """
        def attend(q, k, v, mask):
            scores = q @ k.mT
            if mask is not None:
                scores = scores.masked_fill(mask == 0, -1e9)
            weights = scores.softmax(dim=-1)
            return (weights * mask) @ v
        """,
        """
        def attend(q, k, v, mask):
            scores = q @ k.mT
            scores.masked_fill_(mask == 0, -1e9)
            keep = mask != 0
            return (scores.softmax(dim=-1) * keep) @ v
        """,
        """
        def route(x, experts, mask):
            weights = x.router().softmax(dim=-1)
            return (weights * mask) @ experts
        """,
        """
        import torch


        def attend(q, k, v, bias):
            scores = q @ k.mT + bias
            weights = torch.tril(scores.softmax(dim=-1))
            return weights @ v
        """,
        """
        import torch


        def attend(q, k, v):
            weights = torch.tril((q @ k.mT).softmax(dim=-1))
            weights = weights / weights.sum(dim=-1, keepdim=True)
            return weights @ v
        """,
        """
        def attend(q, k, v, mask):
            scores = q @ k.mT
            scores[~mask] = float('-inf')
            weights = scores.softmax(dim=-1)
            weights[~mask] = 0
            return weights @ v
        """,
        """
        def attend(q, k, v, empty):
            weights = (q @ k.mT).softmax(dim=-1)
            weights[empty] = 0
            return weights @ v
        """,
    )
    INVALID = (
        """
        def attend(q, k, v, mask):
            weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
            weights = weights.masked_fill(~mask, 0.0)
            return weights @ v
        """,
        """
        import torch


        def attend(q, k, v, mask):
            weights = torch.softmax(torch.matmul(q, k.mT) * q.shape[-1] ** -0.5, dim=-1)
            return torch.matmul(weights * mask[:, None, None], v)
        """,
        """
        import torch
        import torch.nn.functional as F


        def attend(q, k, v, n):
            scores = torch.bmm(q, k.transpose(1, 2)) / 8
            weights = F.softmax(scores, dim=-1)
            weights = weights * torch.tril(torch.ones(n, n))
            return torch.bmm(F.dropout(weights, 0.1), v)
        """,
        """
        import torch


        def attend(q, k, v, causal, mask=None):
            scores = q @ k.mT
            scores = scores.masked_fill(~causal, float('-inf'))
            weights = scores.softmax(dim=-1)
            if mask is not None:
                weights = weights.masked_fill(~mask[:, None, None, :], 0.0)
            return weights @ v
        """,
        """
        import torch


        def attend(self, q, k, v, padding_mask):
            scores = torch.einsum('bhid,bhjd->bhij', q, k)
            weights = self.dropout(scores.softmax(dim=-1))
            weights = weights.masked_fill(padding_mask, float('-inf'))
            return torch.einsum('bhij,bhjd->bhid', weights, v)
        """,
        """
        import torch


        def attend(q, k, v, pad):
            weights = (q @ k.mT).softmax(dim=-1)
            weights = torch.where(pad != 0, weights, 0.0)
            return weights @ v
        """,
        """
        def attend(q, k, v, mask):
            weights = (q @ k.mT).softmax(dim=-1)
            weights.masked_fill_(mask == 0, 0)
            return weights @ v
        """,
        """
        def attend(q, k, v, mask):
            weights = (q @ k.mT).softmax(dim=-1)
            weights *= mask
            return weights @ v
        """,
        """
        def attend(q, k, v, mask):
            weights = (q @ k.mT).softmax(dim=-1)
            weights[~mask] = 0
            return weights @ v
        """,
        """
        import torch


        def attend(q, k, v):
            weights = torch.softmax(q @ k.mT * q.shape[-1] ** -0.5, dim=-1)
            weights = torch.tril(weights)
            return weights @ v
        """,
        """
        def attend(q, k, v):
            weights = (q @ k.mT).softmax(dim=-1)
            return weights.tril() @ v
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield where the weights that a softmax gives are masked, and multiply the values as they are then."""
        scores, function = softmax_input(call, context), context.function_of(call)
        if scores is None or function is None or not _is_product_of(scores, context):
            return
        nodes = [
            node for node in context.index.own(function) if isinstance(node, ast.expr | ast.AugAssign | ast.Assign)
        ]
        later = [node for node in nodes if _place(node) >= _place(call) or _holds(node, call, context)]
        if any(isinstance(each, ast.Call) and each is not call and _called(each) in _SHARED_ANEW for each in later):
            return
        before = _names_before(nodes, call, scores, context)
        for node in later:
            mask = _mask_of(node, call, context)
            if mask is None and (before or not _is_triangle(node, call, context)):
                continue
            if mask is not None and (not hides_keys(mask, context) or _names(mask, context) & before):
                continue
            if _multiplies(node, later, context):
                hides = ast.unparse(node if mask is None else mask)
                yield Spot(node, f"`{hides}` hides keys after the softmax has given them their share")
                return


def _place(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _holds(node: ast.AST, inner: ast.AST, context: FileContext) -> bool:
    return node is not inner and context.index.is_below(inner, node)


def _called(call: ast.Call) -> str:
    return last_name(call.func)


def _is_product_of(scores: ast.expr, context: FileContext) -> bool:
    """Return whether scores surely are a product of two matrices, scaled, masked or biased or not."""
    for _ in range(MAX_STEPS):
        scores = context.value_at(scores)
        if is_product(scores, context) or _is_einsum(scores, context):
            return True
        match scores:
            case ast.BinOp(op=ast.Mult() | ast.Div() | ast.Add() | ast.Sub(), left=left):
                scores = left
            case ast.Call() if method(scores) in _FILLS | VIEWS and (inner := receiver(scores)):
                scores = inner
            case _:
                return False
    return False


def _is_einsum(node: ast.AST, context: FileContext) -> bool:
    return isinstance(node, ast.Call) and context.resolve(node) in ("torch.einsum", "einops.einsum")


def _are_weights(expression: ast.expr, softmax: ast.Call, context: FileContext) -> bool:
    """Return whether an expression is what the softmax gives, seen otherwise or dropped in part."""
    for _ in range(MAX_STEPS):
        expression = context.value_at(expression)
        if expression is softmax:
            return True
        match expression:
            case ast.Call(args=[first, *_]) if "drop" in _called(expression).lower():
                expression = first
            case ast.Call() if method(expression) in VIEWS and (inner := receiver(expression)):
                expression = inner
            case _:
                return False
    return False


def _mask_of(node: ast.AST, softmax: ast.Call, context: FileContext) -> ast.expr | None:
    """Return the mask with which a node masks the weights; None where it does nothing of the kind."""

    def weights(expression: ast.expr | None) -> bool:
        return expression is not None and _are_weights(expression, softmax, context)

    match node:
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            return right if weights(left) else left if weights(right) else None
        case ast.AugAssign(op=ast.Mult(), target=ast.Name() as target, value=value):
            return value if weights(target) else None
        case ast.Call(args=[mask, *_]) if method(node) in _FILLS and weights(receiver(node)):
            return mask
        case ast.Call(args=[given, mask, *_]) if context.resolve(node) == "torch.masked_fill" and weights(given):
            return mask
        case ast.Call(args=[mask, kept, other]) if context.resolve(node) == "torch.where":
            return mask if weights(kept) or weights(other) else None
        case ast.Assign(targets=[ast.Subscript(value=ast.Name() as filled, slice=mask)], value=value):
            return mask if constant(value) is not ... and weights(filled) else None
    return None


def _is_triangle(node: ast.AST, softmax: ast.Call, context: FileContext) -> bool:
    """Return whether a node cuts the weights to a triangle, in which the later or the earlier keys are hidden."""
    match node:
        case ast.Call(args=[given, *_]) if context.resolve(node) in ("torch.tril", "torch.triu"):
            return _are_weights(given, softmax, context)
        case ast.Call() if method(node) in _TRIANGLES and (of := receiver(node)):
            return _are_weights(of, softmax, context)
    return False


def _names_before(nodes: Sequence[ast.AST], softmax: ast.Call, scores: ast.expr, context: FileContext) -> set[str]:
    """Return the names that take part in what is done to the scores before the softmax, besides the product."""
    found: set[str] = set()
    for node in nodes:
        if _place(node) > _place(softmax) and not _holds(softmax, node, context):
            continue
        match node:
            case ast.Call(args=args) if _called(node) in _MASKING:
                found |= {name for argument in args for name in _names(argument, context)}
            case ast.BinOp(op=ast.Add() | ast.Sub(), right=right):
                found |= _names(right, context)
            case ast.AugAssign(op=ast.Add() | ast.Sub(), value=right):
                found |= _names(right, context)
            case ast.Subscript(ctx=ast.Store(), slice=index):
                found |= _names(index, context)
    return found


def _names(expression: ast.expr, context: FileContext, steps: int = 4) -> set[str]:
    """Return the names in an expression, and those in what they stand for."""
    found: set[str] = set()
    for node in ast.walk(expression):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        if isinstance(node, ast.Name) and node.id not in _MODULES:
            found.add(node.id)
            bound = context.value_at(node)
            if bound is not node and steps > 0:
                found |= _names(bound, context, steps - 1)
    return found


def _multiplies(node: ast.AST, later: Sequence[ast.AST], context: FileContext) -> bool:
    """Return whether the masked weights go into a product: in place, or by the name that they get."""
    products = [each for each in later if is_product(each, context) or _is_einsum(each, context)]
    if any(_holds(each, node, context) for each in products):
        return True
    statement = context.statement_of(node)
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
            pass
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]):
            pass
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            pass
        case _:
            return False
    after = (each for each in products if _place(each) > _place(statement))
    return any(isinstance(each, ast.Name) and each.id == name for product in after for each in ast.walk(product))
