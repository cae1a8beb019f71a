"""Whether the code of a call hides later keys whatever it is given: by a triangle of ones, in no branch."""

import ast
import re
from collections.abc import Iterator

import torch

from .reading import Source, read
from .structure import code_of

# Where an expression holds ones, or what hides: on and below the diagonal, or above it.
_LOWER, _UPPER = "lower", "upper"
_OPPOSITE = {_LOWER: _UPPER, _UPPER: _LOWER}
_SCORES = re.compile(r"^(q_?k\w*|a|w|s|A|S|\w*(att|attn|score|sim|logit|wei|weight|dots|energy|affinit)\w*)$")
# Methods and functions of what keeps the places of ones.
_KEEPS = {
    "bool", "to", "type_as", "type", "float", "int", "long", "byte", "half", "view", "reshape", "expand", "unsqueeze",
    "contiguous", "clone", "detach", "repeat", "cuda", "cpu", "expand_as", "as_tensor", "tensor", "squeeze",
}  # fmt: skip
_MASKS = {"attn_mask", "mask", "attention_mask", "attn_bias"}
_ATTENDS = re.compile(r"softmax|scaled_dot_product_attention|\bexp\(")
_NEGATIVE = re.compile(r"inf\b|-\s*1e|finfo|-\s*\d{4,}")
_TURNED = re.compile(
    r"\bflip\(|\bfliplr\(|\brevers|\[::-1\]|\brot90\(|\banti_?causal|backward_mask|bidirectional", re.IGNORECASE
)


def hides_later(source: Source) -> str | None:
    """Return the line that hides later keys in every call; None where none does, or one may hide earlier keys."""
    if source.forward is None or _TURNED.search(code_of(source)):
        return None
    names = _kept_names(source)
    found = None
    for statement in _always_run(source.forward.body):
        for node in _outside_branches(statement):
            direction = _applied(node, names)
            if direction == _LOWER:
                return None
            if direction == _UPPER and found is None:
                found = " ".join(ast.unparse(node).split())
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                direction, is_added = _direction(value, names), _is_additive(value, names)
                for each in (name, f"{name}+"):
                    names.pop(each, None)
                if direction:
                    names |= {name: direction} | ({f"{name}+": direction} if is_added else {})
    return found


def hides_later_within(source: Source, module: torch.nn.Module) -> str | None:
    """Return the line with which every part of a module that attends hides later keys; None where one does not.

    Parts are the modules in it whose classes its own file defines.
    """
    home = type(module).__module__
    parts = {type(each) for each in module.modules() if each is not module and type(each).__module__ == home}
    sources = [read(part) for part in parts]
    attending = [part for part in sources if _ATTENDS.search(code_of(part))]
    if not attending or _ATTENDS.search(code_of(source)) or _TURNED.search(code_of(source)):
        return None
    lines = [hides_later(part) for part in attending]
    return lines[0] if all(lines) else None


def _kept_names(source: Source) -> dict[str, str]:
    """Return the attributes that hold a triangle, `self.<name>`; those that are given two are left out."""
    found: dict[str, str] = {}
    added: set[str] = set()
    twice: set[str] = set()
    for tree in source.trees:
        for node in ast.walk(tree):
            match node:
                case (
                    ast.Call(
                        func=ast.Attribute(attr="register_buffer"), args=[ast.Constant(value=str(name)), value, *_]
                    )
                    | ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value)
                ):
                    direction = _direction(value, {})
                    twice |= {name} if name in found else set()
                    found |= {name: direction} if direction else {}
                    added |= {name} if _is_additive(value, {}) else set()
    once = {f"self.{name}": direction for name, direction in found.items() if name not in twice}
    return once | {f"{name}+": direction for name, direction in once.items() if name.partition(".")[2] in added}


def _always_run(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body that every call carries out."""
    for statement in body:
        if isinstance(statement, ast.With):
            yield from _always_run(statement.body)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return | ast.Expr):
            yield statement


def _outside_branches(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.IfExp | ast.Lambda | ast.BoolOp):
        return
    yield node
    for inner in ast.iter_child_nodes(node):
        yield from _outside_branches(inner)


def _applied(node: ast.AST, names: dict[str, str]) -> str | None:
    """Return which keys a call or a sum takes from the scores: later ones are `upper`; None where it takes none."""
    match node:
        case ast.Call(func=ast.Attribute(value=filled, attr="masked_fill" | "masked_fill_"), args=[where, _]):
            # What is filled is a mask itself where it has a direction.
            return None if _direction(filled, names) else _direction(where, names)
        case ast.Call(func=ast.Attribute(attr="where"), args=[where, kept, other]):
            direction = _direction(where, names)
            if direction is None or _direction(kept, names) or _direction(other, names):
                return None
            if _is_scores(kept) == _is_scores(other):
                return None
            return direction if _is_scores(other) else _OPPOSITE[direction]
        case ast.Call(keywords=keywords):
            for keyword in keywords:
                if keyword.arg in _MASKS and (direction := _direction(keyword.value, names)):
                    return direction if _is_additive(keyword.value, names) else _OPPOSITE[direction]
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            for scores, mask in ((left, right), (right, left)):
                if _is_scores(scores) and (direction := _direction(mask, names)):
                    return _OPPOSITE[direction]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            for scores, mask in ((left, right), (right, left)):
                if _is_scores(scores) and _is_additive(mask, names):
                    return _direction(mask, names)
    return None


def _is_scores(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return bool(_SCORES.match(name))
        case ast.Call(func=ast.Attribute(value=inner)) | ast.BinOp(left=inner) | ast.Subscript(value=inner):
            return _is_scores(inner) or bool(re.search(r"softmax\(|matmul\(|bmm\(|einsum\(| @ ", ast.unparse(node)))
    return False


def _is_additive(node: ast.expr, names: dict[str, str]) -> bool:
    """Whether a triangle is of numbers that are added to scores; `names` hold those under their name and a plus."""
    text = ast.unparse(node)
    held = any(re.search(rf"(?<![\w.]){re.escape(name[:-1])}\b", text) for name in names if name.endswith("+"))
    return held or bool(_NEGATIVE.search(text))


def _direction(node: ast.expr, names: dict[str, str]) -> str | None:
    """Return where an expression is one, or hides: `lower` or `upper`; None where it is no triangle alone."""
    match node:
        case ast.Name(id=name):
            return names.get(name)
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return names.get(f"self.{name}")
        case ast.Call(func=ast.Attribute(attr="tril" | "tril_")):
            return _LOWER
        case ast.Call(func=ast.Attribute(attr="triu" | "triu_")):
            return _UPPER
        case ast.UnaryOp(op=ast.Invert(), operand=inner):
            return _turned(inner, names)
        case ast.Call(func=ast.Attribute(value=inner, attr="logical_not")):
            return _turned(inner if not node.args else node.args[0], names)
        case ast.Compare(left=inner, ops=[op], comparators=[ast.Constant(value=value)]):
            is_zero = isinstance(op, ast.Eq) and value in (0, False)
            is_below = isinstance(op, ast.Lt) and value in (1, 0.5)
            is_one = (isinstance(op, ast.Eq) and value in (1, True)) or (isinstance(op, ast.Gt) and value in (0, 0.5))
            is_one = is_one or (isinstance(op, ast.NotEq) and value in (0, False))
            if is_zero or is_below:
                return _turned(inner, names)
            return _direction(inner, names) if is_one else None
        case ast.BinOp(left=ast.Constant(value=1 | 1.0), op=ast.Sub(), right=inner):
            return _turned(inner, names)
        case ast.BinOp(left=inner, op=ast.Mult(), right=ast.Constant() | ast.UnaryOp()):
            return _direction(inner, names)
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as op, right=right):
            # With more conditions a key stays hidden: what is kept and something, what is hidden or something.
            wanted = _LOWER if isinstance(op, ast.BitAnd) else _UPPER
            found = {_direction(left, names), _direction(right, names)} - {None}
            return wanted if found == {wanted} else None
        case ast.Subscript(value=inner):
            return _direction(inner, names)
        case ast.Call(func=ast.Attribute(value=inner, attr=attr)) if attr in _KEEPS:
            return _direction(inner, names)
        case ast.Call(func=ast.Attribute(value=inner, attr="masked_fill"), args=[where, _]):
            return _direction(where, names) if _is_additive(node, {}) else None
    return None


def _turned(node: ast.expr, names: dict[str, str]) -> str | None:
    direction = _direction(node, names)
    return _OPPOSITE[direction] if direction else None
