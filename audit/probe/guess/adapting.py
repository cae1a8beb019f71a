"""Calls the target with its own arguments, made of the canonical tensors, and finds the canonical output in its answer.

A form is plain data:

- `canonical`: `module` (hidden states) or `function` (query, key, value);
- `arguments`: what each argument of the call is given, a recipe; by position where `positional` says so;
- `layout`, `out`: of the tensors that go in and of the one that comes out;
- `pick`: the path to the output in what is returned; an attribute begins with a dot;
- `other_outputs`: whether hidden states are returned beside it;
- `mask`: None, or the argument, convention and shape of a mask of keys;
- `heads`, `head_dim`, `rope`: sizes that tables and masks need;
- `start`: the position of the first token, where others were cached; `offset`: by how much all are shifted;
- `causal mask`: whether a mask also hides later keys.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch

from .. import devices
from . import layouts, masks
from .values import decoded

Form = dict[str, Any]
ROPE_BASE = 10000.0


class Misfit(TypeError):
    """What the target returned is not an output of the canonical shape."""


class NotFinite(Misfit):
    """What the target returned is one, and holds no numbers."""


def called(
    target: Callable[..., object],
    form: Form,
    leaves: Mapping[str, torch.Tensor | None],
    *,
    is_causal: bool,
    namespace: Mapping[str, object],
    more: Mapping[str, object] | None = None,
    answers: list[object] | None = None,
) -> torch.Tensor:
    """Call the target and return its output: (B, L, E) of a module, (B, H, Lq, D) of a function.

    `more` are further arguments, as they are passed; to `answers` is added all that the target returned.

    Raises:
        Misfit: there is no such output; and whatever the target raises.
    """
    arguments = arguments_of(form, leaves, is_causal=is_causal, namespace=namespace)
    sources = {name: _source_of(recipe, form) for name, recipe in form["arguments"].items()}
    mask = form["mask"]
    if mask and mask["parameter"] and (_mask_of(form, leaves) is not None or form.get("causal mask")):
        with devices.own():
            arguments[mask["parameter"]] = _mask(form, mask, leaves)
        sources[mask["parameter"]] = "mask" if form["canonical"] == "function" else "key_mask"
    arguments |= more or {}
    watched = [
        (leaf, given, given.clone())
        for name, given in arguments.items()
        if isinstance(given, torch.Tensor) and (leaf := leaves.get(sources.get(name, ""))) is not None
    ]
    first = [arguments.pop(name) for name in form["positional"] if name in arguments]
    answer = target(*first, **arguments)
    if answers is not None:
        answers.append(answer)
    for leaf, given, before in watched:
        if not torch.equal(given, before):
            _show_overwritten(leaf, given)
    return output(answer, form, leaves)


def arguments_of(
    form: Form, leaves: Mapping[str, torch.Tensor | None], *, is_causal: bool, namespace: Mapping[str, object]
) -> dict[str, object]:
    """Return the arguments that the form names, made of the canonical tensors."""
    with devices.own():
        return {
            name: made(recipe, form, leaves, is_causal=is_causal, namespace=namespace)
            for name, recipe in form["arguments"].items()
        }


def _source_of(recipe: object, form: Form) -> str:
    """Return the name of the canonical tensor that an argument is made of; empty for another argument."""
    if recipe == "kept":
        return "mask" if form["canonical"] == "function" else "key_mask"
    names = {"hidden": "hidden_states", "context": "context", "query": "query", "key": "key", "value": "value"}
    return names.get(str(recipe), "")


def _show_overwritten(leaf: torch.Tensor, given: torch.Tensor) -> None:
    """Make it show in the canonical tensor that the target changed what was made of it; a view shows it by itself."""
    if leaf.data_ptr() == given.data_ptr():
        return
    with torch.no_grad():
        leaf.copy_(~leaf if leaf.dtype == torch.bool else leaf + 1)


def made(
    recipe: object,
    form: Form,
    leaves: Mapping[str, torch.Tensor | None],
    *,
    is_causal: bool,
    namespace: Mapping[str, object],
) -> object:
    """Return the value of one argument."""
    if isinstance(recipe, Mapping):
        if "const" in recipe:
            return decoded(recipe["const"], namespace)
        return {
            key: made(item, form, leaves, is_causal=is_causal, namespace=namespace)
            for key, item in recipe["dict"].items()
        }
    if recipe == "causal":
        return is_causal
    if recipe == "kept":  # a mask that the call must have, where every key may be attended to
        return _mask(form, form["required_mask"], leaves)
    if str(recipe).startswith(("packed", "longest")):
        return _packed(str(recipe), form, leaves)
    if form["canonical"] == "function":
        tensor = leaves[str(recipe)]
        assert tensor is not None
        return layouts.heads_given(tensor, form["layout"])
    hidden = leaves["hidden_states"]
    assert hidden is not None
    context = leaves.get("context")
    if recipe == "hidden":
        return layouts.given(hidden, form["layout"])
    if recipe == "context":
        return layouts.given(hidden if context is None else context, form["layout"])
    return _table(str(recipe), form, hidden)


def _packed(recipe: str, form: Form, leaves: Mapping[str, torch.Tensor | None]) -> object:
    """Return where packed sequences begin and the last one ends, or the length of the longest: they are all as long."""
    names = ("key" if recipe.endswith(" k") else "query") if form["canonical"] == "function" else "hidden_states"
    tensor = leaves[names]
    assert tensor is not None
    batch, length = tensor.shape[0], tensor.shape[-2]
    if recipe.startswith("longest"):
        return length
    return torch.arange(0, (batch + 1) * length, length, dtype=torch.int32)


def _table(recipe: str, form: Form, hidden: torch.Tensor) -> object:
    """Return what is made of the sizes of the hidden states alone."""
    batch, length, _ = hidden.shape
    height, width = layouts.grid_of(length)
    dim = form["rope"]
    positions = torch.arange(length) + form.get("start", 0) + form.get("offset", 0)
    positions = positions.repeat(batch) if form["layout"] == "(BL)C" else positions
    angles = positions[:, None] * ROPE_BASE ** (-torch.arange(0, dim, 2) / dim)  # (L, dim / 2)
    is_in_pairs = form.get("rope pairs") == "neighbours"
    doubled = angles.repeat_interleave(2, dim=-1) if is_in_pairs else torch.cat([angles, angles], dim=-1)
    cos, sin = doubled.cos().to(hidden.dtype), doubled.sin().to(hidden.dtype)
    match recipe:
        case "rope pair" if form["layout"] != "(BL)C":
            return cos.expand(batch, -1, -1), sin.expand(batch, -1, -1)
        case "rope pair" | "rope pair L":
            return cos, sin
        case "rope pair half":
            return angles.cos().to(hidden.dtype), angles.sin().to(hidden.dtype)
        case "rope complex":
            return torch.polar(torch.ones_like(angles), angles)
        case "rope complex B":
            return torch.polar(torch.ones_like(angles), angles).expand(batch, -1, -1)
        case "rope stacked":
            return torch.stack([angles.cos(), angles.sin()], dim=-1).to(hidden.dtype)
        case "rope angles":  # never in the run's dtype: bfloat16 rounds an angle of 200 by half a radian
            return doubled
        case "rope angles 4":
            return doubled[None, None]
        case "cos" | "sin":
            return cos if recipe == "cos" else sin
        case "cos 4" | "sin 4":
            return (cos if recipe == "cos 4" else sin)[None, None]
        case "cos half" | "sin half":
            return (angles.cos() if recipe == "cos half" else angles.sin()).to(hidden.dtype)
        case "positions":
            return positions.expand(batch, -1)
        case "positions L":
            return positions
        case "height":
            return height
        case "width":
            return width
        case "grid":
            return (height, width)
        case "grid tensor":
            return torch.tensor([[height, width]])
        case "zeros":
            return torch.zeros_like(layouts.given(hidden, form["layout"]))
        case "alibi":
            return torch.zeros(batch * form["heads"], 1, form.get("start", 0) + length, dtype=hidden.dtype)
        case "lengths":
            return torch.full((batch,), length)
    raise ValueError(f"no recipe {recipe!r}")


def _mask_of(form: Form, leaves: Mapping[str, torch.Tensor | None]) -> torch.Tensor | None:
    return leaves.get("mask") if form["canonical"] == "function" else leaves.get("key_mask")


def _mask(form: Form, mask: Mapping[str, str], leaves: Mapping[str, torch.Tensor | None]) -> torch.Tensor:
    given = _mask_of(form, leaves)
    inputs = leaves["query"] if form["canonical"] == "function" else leaves["hidden_states"]
    keys = leaves["key"] if form["canonical"] == "function" else leaves.get("context")
    assert inputs is not None
    keys = inputs if keys is None else keys
    if given is None:
        given = torch.ones(inputs.shape[0], form.get("start", 0) + keys.shape[-2], dtype=torch.bool)
    elif form["canonical"] == "function":
        if mask["shape"] == "as it is" or given.shape[1:3] != (1, 1):
            expanded = given.expand(inputs.shape[0], given.shape[1], inputs.shape[2], -1)
            return masks.valued(expanded, mask["convention"], inputs.dtype)
        given = given[:, 0, 0, :].expand(inputs.shape[0], -1)
    return masks.form_of(
        given,
        mask["convention"],
        mask["shape"],
        queries=inputs.shape[-2],
        heads=form["heads"],
        dtype=inputs.dtype,
        is_causal=bool(form.get("causal mask") or mask.get("causal")),
    )


def output(answer: object, form: Form, leaves: Mapping[str, torch.Tensor | None]) -> torch.Tensor:
    """Return the canonical output of what the target returned.

    Raises:
        Misfit: it is not where and how the form says.
    """
    value = answer
    for part in form["pick"]:
        value = _part(value, part)
    if not isinstance(value, torch.Tensor):
        raise Misfit(f"the call returned {type(value).__name__} where a tensor was expected")
    if form["canonical"] == "function":
        query = cast(torch.Tensor, leaves["query"])
        found = layouts.heads_taken(value, form["out"], (query.shape[0], query.shape[1], query.shape[2]))
        wanted = (*query.shape[:3], "any")
    else:
        hidden = cast(torch.Tensor, leaves["hidden_states"])
        found = layouts.taken(value, form["out"], hidden.shape[0], hidden.shape[1])
        wanted = (*hidden.shape[:2], "any")
    if found is None:
        raise Misfit(f"the call returned a tensor of shape {tuple(value.shape)}, which is no {form['out']} of {wanted}")
    return found


def _part(value: object, part: object) -> object:
    if isinstance(part, str) and part.startswith(".") and not isinstance(value, Mapping):
        return getattr(value, part[1:])
    return cast(Any, value)[part]


def located(answer: object, form: Form, leaves: Mapping[str, torch.Tensor | None]) -> Form | None:
    """Return the form with the place and layout of the output in what was returned; None where there is none."""
    function = form["canonical"] == "function"
    outs = layouts.FUNCTION_LAYOUTS if function else (form["layout"], "BLC", *layouts.MODULE_LAYOUTS)
    for pick in places(answer):
        for out in dict.fromkeys((form["layout"], *outs)):
            trial = form | {"pick": pick, "out": out}
            try:
                found = output(answer, trial, leaves)
            except Misfit:
                continue
            if found.is_floating_point() and (not function or found.shape == cast(torch.Tensor, leaves["query"]).shape):
                return trial | {"other_outputs": _has_others(answer, pick)}
    return None


def _has_others(answer: object, pick: list[object]) -> bool:
    """Whether hidden states, (B, L, E) or of more axes, are returned beside those that were picked."""
    picked = cast(Any, answer)
    for part in pick:
        picked = _part(picked, part)
    others = (_part(answer, place[0]) for place in places(answer) if place and place != pick)
    return any(
        isinstance(each, torch.Tensor)
        and each.is_floating_point()
        and each.dim() == picked.dim()
        and each.shape[-1] == picked.shape[-1]
        for each in others
    )


_PREFERRED = ("hidden_states", "last_hidden_state", "output", "out", "x", "attn_output", "attention_output", "context")


def places(answer: object) -> list[list[object]]:
    """Return the paths to tensors in what was returned, the likeliest first."""
    if isinstance(answer, torch.Tensor):
        return [[]]
    if isinstance(answer, Mapping):
        keys = sorted(
            map(str, answer), key=lambda key: (key not in _PREFERRED, _PREFERRED.index(key) if key in _PREFERRED else 0)
        )
        return [[key] for key in keys if isinstance(answer[key], torch.Tensor)]
    if isinstance(answer, list | tuple):
        return [[index] for index, item in enumerate(answer) if isinstance(item, torch.Tensor)]
    names = [
        name
        for name in (*_PREFERRED, *getattr(answer, "__dict__", {}))
        if isinstance(getattr(answer, name, None), torch.Tensor)
    ]
    return [[f".{name}"] for name in names]
