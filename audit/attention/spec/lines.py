"""The expressions of Python for what the probe found out: layouts, masks, tables, arguments."""

import math
from collections.abc import Mapping
from typing import Any

GIVEN = {  # of (B, L, C)
    "BLC": "{x}",
    "LBC": "{x}.transpose(0, 1)",
    "BCL": "{x}.transpose(1, 2)",
    "BCHW": "{x}.transpose(1, 2).unflatten(2, (height, width))",
    "BHWC": "{x}.unflatten(1, (height, width))",
    "B1LC": "{x}[:, None]",
    "BCTHW": "{x}.transpose(1, 2).unflatten(2, (1, height, width))",
    "BTHWC": "{x}.unflatten(1, (1, height, width))",
    "(BL)C": "{x}.flatten(0, 1)",
}
TAKEN = {
    "BLC": "{y}",
    "LBC": "{y}.transpose(0, 1)",
    "BCL": "{y}.transpose(1, 2)",
    "BCHW": "{y}.flatten(2).transpose(1, 2)",
    "BHWC": "{y}.flatten(1, 2)",
    "B1LC": "{y}[:, 0]",
    "BCTHW": "{y}.flatten(2).transpose(1, 2)",
    "BTHWC": "{y}.flatten(1, 3)",
    "(BL)C": "{y}.unflatten(0, hidden_states.shape[:2])",
}
HEADS_GIVEN = {  # of (B, H, L, D)
    "BhLD": "{x}",
    "BLhD": "{x}.transpose(1, 2)",
    "BLC": "{x}.transpose(1, 2).flatten(2)",
    "LBC": "{x}.permute(2, 0, 1, 3).flatten(2)",
    "(Bh)LD": "{x}.flatten(0, 1)",
    "(BL)hD": "{x}.transpose(1, 2).flatten(0, 1)",
}
HEADS_TAKEN = {
    "BhLD": "{y}",
    "BLhD": "{y}.transpose(1, 2)",
    "BLC": "{y}.unflatten(2, (query.shape[1], -1)).transpose(1, 2)",
    "LBC": "{y}.unflatten(2, (query.shape[1], -1)).permute(1, 2, 0, 3)",
    "(Bh)LD": "{y}.unflatten(0, query.shape[:2])",
    "(BL)hD": "{y}.unflatten(0, (query.shape[0], -1)).transpose(1, 2)",
    "(BL)C": "{y}.unflatten(0, (query.shape[0], -1)).unflatten(2, (query.shape[1], -1)).transpose(1, 2)",
}
SHAPED = {  # of a mask of keys (B, L)
    "BL": "{m}",
    "LB": "{m}.transpose(0, 1)",
    "B1L": "{m}[:, None]",
    "BLL": "{m}[:, None].expand(-1, length, -1)",
    "B11L": "{m}[:, None, None]",
    "B1LL": "{m}[:, None, None].expand(-1, -1, length, -1)",
    "BHLL": "{m}[:, None, None].expand(-1, {heads}, length, -1)",
    "BHLL flat": "{m}[:, None, None].expand(-1, {heads}, length, -1).flatten(0, 1)",
    "B1L1": "{m}[:, None, :, None]",
}
VALUED = {
    "bool keep": "{m}",
    "bool drop": "~{m}",
    "int keep": "{m}.long()",
    "int drop": "(~{m}).long()",
    "float keep": "{m}.to({like}.dtype)",
    "float drop": "(~{m}).to({like}.dtype)",
    "additive": "torch.zeros({m}.shape, dtype={like}.dtype).masked_fill(~{m}, torch.finfo({like}.dtype).min)",
}
_TABLES = {
    "rope pair": "(cos.expand(batch, -1, -1), sin.expand(batch, -1, -1))",
    "rope pair L": "(cos, sin)",
    "rope pair half": "(angles.cos(), angles.sin())",
    "rope complex": "torch.polar(torch.ones_like(angles), angles)",
    "rope complex B": "torch.polar(torch.ones_like(angles), angles).expand(batch, -1, -1)",
    "rope stacked": "torch.stack([angles.cos(), angles.sin()], dim=-1)",
    "rope angles": "torch.cat([angles, angles], dim=-1)",
    "rope angles 4": "torch.cat([angles, angles], dim=-1)[None, None]",
    "cos": "cos",
    "sin": "sin",
    "cos 4": "cos[None, None]",
    "sin 4": "sin[None, None]",
    "cos half": "angles.cos()",
    "sin half": "angles.sin()",
    "positions": "torch.arange(length).expand(batch, -1)",
    "positions L": "torch.arange(length)",
    "height": "height",
    "width": "width",
    "grid": "(height, width)",
    "grid tensor": "torch.tensor([[height, width]])",
    "alibi": "torch.zeros(batch * {heads}, 1, length)",
    "lengths": "torch.full((batch,), length)",
}
_PACKED = {
    "packed": "torch.arange(0, ({x}.shape[0] + 1) * {x}.shape[-2], {x}.shape[-2], dtype=torch.int32)",
    "longest": "{x}.shape[-2]",
}


def prelude_of(call: str, form: Mapping[str, Any], *, function: bool = False) -> list[str]:
    """Return the lines that make what the text of a call names beside its inputs."""
    lines: list[str] = []
    if function:
        return ["length = query.shape[2]"] if "length" in call else []
    if any(word in call for word in ("batch", "length", "height", "width", "cos", "sin", "angles")):
        lines.append("batch, length, _ = hidden_states.shape")
    if "height" in call or "width" in call:
        lines.append("height, width = 1, length  # decide: an image whose positions stand in rows")
    if any(word in call for word in ("cos", "sin", "angles")):
        dim = form["rope"]
        lines.append(f"angles = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(0, {dim}, 2) / {dim})")
    if any(word in call for word in ("cos.", "cos,", "cos[", "=cos", "=sin")):
        lines.append("cos, sin = (f(torch.cat([angles, angles], dim=-1)) for f in (torch.cos, torch.sin))")
    return lines


def recipe_of(recipe: object, form: Mapping[str, Any]) -> str:
    """Return the expression for one argument of the call."""
    if isinstance(recipe, Mapping):
        if "const" in recipe:
            return python(recipe["const"])
        return "{" + ", ".join(f"{key!r}: {recipe_of(item, form)}" for key, item in recipe["dict"].items()) + "}"
    if recipe == "causal":
        return "is_causal"
    if recipe == "kept":
        return mask_of(form, form["required_mask"], required=True)
    if str(recipe).startswith(tuple(_PACKED)):
        what, _, of_keys = str(recipe).partition(" ")
        x = ("key" if of_keys else "query") if form["canonical"] == "function" else "hidden_states"
        return _PACKED[what].format(x=x)
    if form["canonical"] == "function":
        return HEADS_GIVEN[form["layout"]].format(x=recipe)
    if recipe in ("hidden", "context"):
        name = "context" if recipe == "context" and form.get("context_dim") else "hidden_states"
        return GIVEN[form["layout"]].format(x=name)
    if recipe == "zeros":
        return f"torch.zeros_like({GIVEN[form['layout']].format(x='hidden_states')})"
    return _TABLES[str(recipe)].format(heads=form["heads"])


def mask_of(form: Mapping[str, Any], mask: Mapping[str, str], *, required: bool) -> str:
    """Return the expression for a mask of keys in the form that the target takes."""
    function = form["canonical"] == "function"
    name, like = ("mask", "query") if function else ("key_mask", "hidden_states")
    every = "torch.ones(query.shape[0], 1, 1, key.shape[2], dtype=torch.bool)"
    keys = "context" if form.get("context_dim") else "hidden_states"
    every = every if function else f"torch.ones({keys}.shape[:2], dtype=torch.bool)"
    source = f"({every} if {name} is None else {name})" if required else name
    by_keys = f"{source}[:, 0, 0]" if function and mask["shape"] in ("BL", "B1L", "BLL", "LB") else source
    shaped = source if function and by_keys == source else SHAPED[mask["shape"]].format(m=by_keys, heads=form["heads"])
    valued = VALUED[mask["convention"]].format(m=shaped, like=like)
    return valued if required else f"None if {name} is None else {valued}"


def python(value: object) -> str:
    """Return the expression for what the probe describes as plain data (its `guess.values`)."""
    if isinstance(value, list):
        return f"[{', '.join(python(item) for item in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if not isinstance(value, Mapping):
        return repr(value)
    if "$tuple" in value:
        return f"({', '.join(python(item) for item in value['$tuple'])})"
    if "$settings" in value:
        return f"Settings({keywords(value['$settings'])})"
    if "$name" in value:
        return str(value["$name"])
    if "$call" in value:
        eager = ["attn_implementation='eager'"] if "_attn_implementation" in value.get("set", {}) else []
        return f"{value['$call']}({', '.join(filter(None, [keywords(value['arguments']), *eager]))})"
    return "{" + ", ".join(f"{key!r}: {python(item)}" for key, item in value.items()) + "}"


def keywords(arguments: Mapping[str, object]) -> str:
    """Return arguments as they are written in a call."""
    return ", ".join(f"{key}={python(item)}" for key, item in arguments.items())
