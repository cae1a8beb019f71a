"""Arguments that a call may leave out, and what to give them so that an effect shows: masks, biases, flags."""

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from .. import devices
from . import masks, trying
from .adapting import Form, called
from .conventions import Sizes
from .mask_claims import paragraph
from .reading import Source, parameters_of
from .roles import is_named, role_of
from .trying import Target

Leaves = Mapping[str, torch.Tensor | None]

_CAUSAL = re.compile(r"^(is_)?causal$")
_BIAS = re.compile(r"^(attn_bias|attention_bias|position_bias|rel_pos_bias|relative_position_bias|rpe_bias|bias)$")
_HEADS = re.compile(r"^(layer_)?head_mask$")
_POSITIONS = re.compile(r"^(position_ids|positions|pos_ids|input_pos)$")
_WEIGHTS = re.compile(r"^(need_weights|output_attentions|return_attentions?|return_attn(_weights)?|return_weights)$")
_DOCUMENTS = re.compile(r"^(document|doc|segment|sequence|seq|sample|packing|pack)_?ids?$")
_NUMBERED = re.compile(r"^(document|doc)_?ids?$")  # by its name alone; of others the documentation must say so
_PACKED = re.compile(
    r"\bpack(ed|ing)\b|\b(own|same|other|another|different) (document|sequence|segment)s?\b", re.IGNORECASE
)
_UNUSED = re.compile(
    r"unused|ignored?\b|not used|no effect|compat|deprecat|placeholder|reserved|legacy|dummy|kept for|api consisten",
    re.IGNORECASE,
)
_SHAPES = ("BL", "B11L", "B1LL", "LL")
_CONVENTIONS = ("bool keep", "bool drop", "additive", "float keep")
# With these, positions are told otherwise.
_TABLES = {"rope pair", "rope table", "cos", "sin", "alibi"}
_HIDDEN = 4  # keys that a mask hides: the first ones, which causal queries see too
_SEED = 11


def listed(target: Target, form: Form, source: Source, sizes: Sizes) -> list[dict[str, object]]:
    """Return the arguments whose names say what they do, that the form does not give.

    Each has a `name`, a `role`, `values` to try, and what the source says: `read` (something reads what was passed),
    `unused` (it says itself that nothing does); `shows` of a flag that asks for weights: whether any are returned.
    """
    mask = form["mask"]["parameter"] if form["mask"] else None
    found: list[dict[str, object]] = []
    given = set(form["arguments"]) | {mask}
    others = {role_of(each.name) for each in parameters_of(target.signature)}
    for each in parameters_of(target.signature):
        if not is_named(each):
            continue
        if each.name in given and not (
            _CAUSAL.match(each.name) and form["arguments"].get(each.name) == {"const": False}
        ):
            continue
        role, values = _values(each.name, each.default, others)
        if role is None and form["canonical"] == "module" and form["layout"] == "BLC" and not form.get("context_dim"):
            role, values = _documents(each.name, each.default, source)
        if role is None:
            continue
        entry: dict[str, object] = {
            "name": each.name,
            "role": role,
            "values": values,
            "read": _is_read(source, each.name),
            "unused": _is_unused(source, each.name),
            "documented": bool(paragraph(source, each.name)),
        }
        if role == "weights":
            entry["shows"] = _shows_weights(target, form, each.name, sizes)
        found.append(entry)
    return found


def made(values: Mapping[str, Any], form: Form, leaves: Leaves) -> dict[str, object]:
    """Return the values of further arguments, by their names."""
    with devices.own():
        return {name: _made(value, form, leaves) for name, value in values.items()}


def _values(name: str, default: object, others: Collection[str | None]) -> tuple[str | None, list[dict[str, object]]]:
    plain = name.lower().strip("_")
    if _CAUSAL.match(plain) and (default is None or isinstance(default, bool)):
        return "causal", [{"const": default is not True}]
    if _HEADS.match(plain):
        return "head mask", [{"head_mask": shape} for shape in ("H", "1H11")]
    if _BIAS.match(plain) and default is None:
        return "bias", [{"bias": shape} for shape in ("LL", "HLL", "1HLL", "BHLL", "B1LL")]
    if _POSITIONS.match(plain) and default is None and not _TABLES & set(others):
        return "positions", [{"positions": shape} for shape in ("BL", "L")]
    if _WEIGHTS.match(plain):
        return "weights", []
    if role_of(name) == "mask" and default is None:
        return "mask", [{"mask": {"convention": c, "shape": s}} for c in _CONVENTIONS for s in _SHAPES]
    return None, []


def _documents(name: str, default: object, source: Source) -> tuple[str | None, list[dict[str, object]]]:
    plain = name.lower().strip("_")
    if default is not None or not _DOCUMENTS.match(plain):
        return None, []
    if not _NUMBERED.match(plain) and not _PACKED.search(source.documentation):
        return None, []  # segments may be kinds of tokens
    return "documents", [{"documents": "BL"}]


def _made(value: Mapping[str, Any], form: Form, leaves: Leaves) -> object:
    inputs = leaves["query"] if form["canonical"] == "function" else leaves["hidden_states"]
    keys = leaves["key"] if form["canonical"] == "function" else leaves.get("context")
    assert inputs is not None
    keys = inputs if keys is None else keys
    batch, queries, length, heads = inputs.shape[0], inputs.shape[-2], keys.shape[-2], form["heads"]
    generator = torch.Generator().manual_seed(_SEED)
    if "const" in value:
        return value["const"]
    if "head_mask" in value:
        mask = torch.ones(heads, dtype=inputs.dtype)
        mask[0] = 0
        return mask if value["head_mask"] == "H" else mask[None, :, None, None]
    if "bias" in value:
        sizes = {"B": batch, "H": heads, "1": 1}
        shape = [sizes[letter] for letter in value["bias"][:-2]]
        drawn = torch.randn(*shape, queries, length, generator=generator, device=devices.CPU)
        return drawn.to(inputs)
    if "positions" in value:
        positions = torch.arange(queries).flip(0)
        return positions.expand(batch, -1) if value["positions"] == "BL" else positions
    if "documents" in value:
        return (torch.arange(length) >= length // 2).long().expand(batch, -1).contiguous()
    kept = torch.ones(batch, length, dtype=torch.bool)
    kept[:, :_HIDDEN] = False
    convention, shape = value["mask"]["convention"], value["mask"]["shape"]
    if shape == "LL":
        return masks.valued(kept[:1].expand(queries, -1).contiguous(), convention, inputs.dtype)
    return masks.form_of(kept, convention, shape, queries=queries, heads=heads, dtype=inputs.dtype)


def _is_read(source: Source, name: str) -> bool:
    """Whether something reads what was passed, before another value takes its name."""
    if source.forward is None:
        return True
    replaced = _replaced(source.forward, name)
    for node in _in_order(source.forward.body):
        if id(node) in replaced:
            continue
        if isinstance(node, ast.Name) and node.id == name:
            return isinstance(node.ctx, ast.Load)
        if isinstance(node, ast.Name) and node.id in ("locals", "vars", "super"):
            return True
    return False


def _replaced(forward: ast.FunctionDef, name: str) -> set[int]:
    """Return the nodes of what runs after a third argument took this one's name because a second one is given.

    Attention that serves for one sequence and for two takes a mask for each, and reads the one of its keys.
    """
    arguments = forward.args
    others = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)} - {name}
    local = {
        target.id: node.value
        for node in ast.walk(forward)
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name)
    }
    found: set[int] = set()
    for node in ast.walk(forward):
        if not isinstance(node, ast.If) or not _is_given(node.test, others, local):
            continue
        for index, statement in enumerate(node.body):
            match statement:
                case ast.Assign(targets=[ast.Name(id=taken)], value=ast.Name(id=given)):
                    if taken == name and given in others:
                        found |= {id(inner) for later in node.body[index:] for inner in ast.walk(later)}
    return found


def _is_given(test: ast.expr, others: Collection[str], local: Mapping[str, ast.expr]) -> bool:
    """Whether a condition is that one of these arguments is not None, itself or by a name for that."""
    match local.get(test.id, test) if isinstance(test, ast.Name) else test:
        case ast.Compare(left=ast.Name(id=left), ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return left in others
    return False


def _in_order(nodes: Sequence[ast.AST]) -> list[ast.AST]:
    """Return all nodes in the order in which they run: of an assignment the value first."""
    found: list[ast.AST] = []
    for node in nodes:
        inner = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            inner.sort(key=lambda each: each is not node.value)
        found += [node, *_in_order(inner)]
    return found


def _is_unused(source: Source, name: str) -> bool:
    """Whether the source says itself that nothing reads an argument."""
    if name.startswith("_") or _UNUSED.search(paragraph(source, name)):
        return True
    word = re.escape(name)
    if re.search(rf"\bdel\s[^\n]*\b{word}\b|^\s*_\w*\s*=\s*{word}\b", source.text, re.MULTILINE):
        return True
    return any(_UNUSED.search(each) for each in re.findall(rf"\b{word}\b[^\n#]*#([^\n]*)", source.text))


def _shows_weights(target: Target, form: Form, name: str, sizes: Sizes) -> bool:
    """Whether a call that asks for weights returns more than one tensor, or cannot be made."""
    answers: list[object] = []
    leaves = trying.inputs(form, sizes)
    try:
        with torch.no_grad():
            called(
                target.function, form, leaves, is_causal=False, namespace=target.namespace, more={name: True},
                answers=answers,
            )  # fmt: skip
    except Exception:  # refused, or returned in another form: both are answers
        return True
    return isinstance(answers[0], list | tuple | Mapping) and sum(1 for _ in _tensors(answers[0])) > 1


def _tensors(answer: Any) -> list[torch.Tensor]:
    if isinstance(answer, torch.Tensor):
        return [answer]
    inner = answer.values() if isinstance(answer, Mapping) else answer if isinstance(answer, list | tuple) else ()
    return [tensor for each in inner for tensor in _tensors(each)]
