"""The text of a specs module for one class or function, from what the probe found of it: ready to run, and to edit.

What was found is written out as plain Python; what nothing says stands there as a comment that asks for a decision.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.gateway.client import Plain

_GIVEN = {  # of (B, L, C)
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
_TAKEN = {
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
_HEADS_GIVEN = {  # of (B, H, L, D)
    "BhLD": "{x}",
    "BLhD": "{x}.transpose(1, 2)",
    "BLC": "{x}.transpose(1, 2).flatten(2)",
    "LBC": "{x}.permute(2, 0, 1, 3).flatten(2)",
    "(Bh)LD": "{x}.flatten(0, 1)",
    "(BL)hD": "{x}.transpose(1, 2).flatten(0, 1)",
}
_HEADS_TAKEN = {
    "BhLD": "{y}",
    "BLhD": "{y}.transpose(1, 2)",
    "BLC": "{y}.unflatten(2, (query.shape[1], -1)).transpose(1, 2)",
    "LBC": "{y}.unflatten(2, (query.shape[1], -1)).permute(1, 2, 0, 3)",
    "(Bh)LD": "{y}.unflatten(0, query.shape[:2])",
    "(BL)hD": "{y}.unflatten(0, (query.shape[0], -1)).transpose(1, 2)",
    "(BL)C": "{y}.unflatten(0, (query.shape[0], -1)).unflatten(2, (query.shape[1], -1)).transpose(1, 2)",
}
_SHAPED = {  # of a mask of keys (B, L)
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
_VALUED = {
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
_LONG = 30  # characters: what is longer has a line of its own
_UNDECIDED = {
    "num_heads": "the number of query heads",
    "num_kv_heads": "the number of key and value heads; num_heads where they are not shared",
    "head_dim": "the size of one head",
    "is_causal": "True where no position may see a later one",
    "scale": "the factor on the logits where it is not 1/sqrt(head_dim)",
    "projections": "the linear layers by their names, for the comparison with the oracle: "
    '{"query": ..., "key": ..., "value": ..., "output": ...}',
}


# What few promise: named in one line, so that whoever does knows the word for it.
_FURTHER = (
    "window", "soft_cap", "alibi_slopes", "sinks", "value_scale", "feature_map", "rows_sum_to_one", "positions",
    "given_mask", "empty_row", "rotary_base", "dtypes",
)  # fmt: skip


def spec_stub(found: Mapping[str, Plain]) -> str:
    """Return the text of a specs module for what `attention_find` replied about a class or function."""
    reply: Any = found
    qualname, problem = str(reply["qualname"]), reply["problem"]
    module = reply["module"] or Path(str(reply["path"])).stem
    lines = [f'"""How {qualname} of {module} is built and called, and what it promises."""', ""]
    if not reply["module"]:
        lines += [f"# {Path(str(reply['path'])).name} is part of no package: its folder must be on the path.", ""]
    if problem:
        lines += [f"# Not found out: {problem}", "# decide: fill in `build` and `forward`.", ""]
    lines += [f"# Not built with {name}: {why}" for name, why in reply["not_built"].items()]
    usable = [each for each in reply["subjects"] if "context_dim" not in each["contract"]]
    for each in reply["subjects"]:
        if each not in usable:
            lines.append(f"# A call with a context is not one that specs can declare: {each['call']}")
    is_class = "build" in reply["signature"]
    body = [line for i, each in enumerate(usable) for line in _functions(each, qualname, _suffix(i), is_class=is_class)]
    body = body or _empty_functions(reply, qualname)
    names = sorted(
        {qualname.partition(".")[0], *(name for each in usable for name in names_of(each["choices"]["arguments"]))}
    )
    lines += _imports(module, names, "\n".join(body))
    lines += body
    lines += ["ATTENTION: dict[str, dict[str, object]] = {"]
    for i, each in enumerate(usable):
        lines += _entry(each, module, qualname, _suffix(i))
    if not usable:
        lines += _empty_entry(module, qualname, is_class=is_class)
    return "\n".join([*lines, "}", ""])


def functions_of(choices: Mapping[str, Any], qualname: str, *, is_class: bool) -> list[str]:
    """Return the lines of `build` (of a class) and `forward` for the choices of one way to build and call it.

    Raises:
        KeyError: an argument is made in a way that has no line of Python.
    """
    return _functions({"choices": choices}, qualname, "", is_class=is_class)


def _suffix(index: int) -> str:
    return f"_{index + 1}" if index else ""


def _imports(module: str, names: Sequence[str], body: str) -> list[str]:
    lines = ["from types import SimpleNamespace", ""] if "Settings(" in body else []
    lines += ["import torch"] if "torch." in body else []
    lines += ["from torch import Tensor", "", f"from {module} import {', '.join(names)}", "", ""]
    if "Settings(" in body:
        lines += ["class Settings(SimpleNamespace):", '    """Attributes that are also items."""', ""]
        lines += ["    def __getitem__(self, name: str) -> object:", "        return getattr(self, name)", "", ""]
    return lines


def names_of(value: object) -> list[str]:
    """Return the names of the target's module that arguments are made of."""
    if isinstance(value, Mapping):
        own = [str(value[key]).partition(".")[0] for key in ("$call", "$name") if key in value]
        inner = [name for item in value.values() for name in names_of(item)]
        return [name for name in own + inner if name != "torch"]
    return [name for item in value for name in names_of(item)] if isinstance(value, list) else []


def _functions(subject: Mapping[str, Any], qualname: str, suffix: str, *, is_class: bool) -> list[str]:
    form, arguments = subject["choices"]["form"], subject["choices"]["arguments"]
    function = form["canonical"] == "function"
    lines: list[str] = []
    if subject["choices"].get("opened"):
        names = ", ".join(subject["choices"]["opened"])
        lines += [f"# decide: {names} begin as zero, and nothing shows behind them; give them numbers in `build`."]
    if is_class:
        lines += [f"def build{suffix}() -> {qualname}:", f"    return {qualname}("]
        lines += [f"        {name}={_python(value)}," for name, value in arguments.items()]
        lines += ["    )", "", ""]
    if function:
        head = "query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None"
        doc = "query (B, H, Lq, D), key and value (B, G, Lk, D), mask bool, True = may attend; returns (B, H, Lq, D)."
    else:
        across = ", context: Tensor" if form.get("context_dim") else ""
        head = f"module: {qualname}, hidden_states: Tensor, key_mask: Tensor | None{across}"
        doc = "hidden_states (B, L, C), key_mask (B, L) bool, True = may attend; returns (B, L, C)."
    lines += [f"def forward{suffix}({head}) -> Tensor:", f'    """{doc}"""']
    return lines + [f"    {line}" for line in _statements(form, qualname, suffix, is_class=is_class)] + ["", ""]


def _statements(form: Mapping[str, Any], qualname: str, suffix: str, *, is_class: bool) -> list[str]:
    function, mask = form["canonical"] == "function", form["mask"]
    given = {name: _recipe(recipe, form) for name, recipe in form["arguments"].items()}
    if mask and mask["parameter"]:
        given[mask["parameter"]] = _mask(form, mask, required="kept" in form["arguments"].values())
    prelude = _prelude(" ".join(given.values()), form, function=function)
    inputs = ("hidden_states", "query", "key", "value")  # masks and tables are made of these as they come
    for name, text in given.items():
        if len(text) > _LONG and not text.startswith(inputs) and name not in inputs:
            prelude.append(f"{name} = {text}")
            given[name] = name
    inside = [given.pop(name) for name in form["positional"] if name in given]
    call = ", ".join([*inside, *(f"{name}={value}" for name, value in given.items())])
    callee = f"build{suffix}().eval()" if function and is_class else qualname if function else "module"
    output = f"{callee}({call})"
    for part in form["pick"]:
        output += part if str(part).startswith(".") else f"[{part!r}]"
    taken = (_HEADS_TAKEN if function else _TAKEN)[form["out"]].format(y=output)
    return [*prelude, f"output: Tensor = {taken}", "return output"]


def _prelude(call: str, form: Mapping[str, Any], *, function: bool) -> list[str]:
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


def _recipe(recipe: object, form: Mapping[str, Any]) -> str:
    if isinstance(recipe, Mapping):
        if "const" in recipe:
            return _python(recipe["const"])
        return "{" + ", ".join(f"{key!r}: {_recipe(item, form)}" for key, item in recipe["dict"].items()) + "}"
    if recipe == "causal":
        return "is_causal"
    if recipe == "kept":
        return _mask(form, form["required_mask"], required=True)
    if str(recipe).startswith(tuple(_PACKED)):
        what, _, of_keys = str(recipe).partition(" ")
        x = ("key" if of_keys else "query") if form["canonical"] == "function" else "hidden_states"
        return _PACKED[what].format(x=x)
    if form["canonical"] == "function":
        return _HEADS_GIVEN[form["layout"]].format(x=recipe)
    if recipe in ("hidden", "context"):
        name = "context" if recipe == "context" and form.get("context_dim") else "hidden_states"
        return _GIVEN[form["layout"]].format(x=name)
    if recipe == "zeros":
        return f"torch.zeros_like({_GIVEN[form['layout']].format(x='hidden_states')})"
    return _TABLES[str(recipe)].format(heads=form["heads"])


def _mask(form: Mapping[str, Any], mask: Mapping[str, str], *, required: bool) -> str:
    function = form["canonical"] == "function"
    name, like = ("mask", "query") if function else ("key_mask", "hidden_states")
    every = "torch.ones(query.shape[0], 1, 1, key.shape[2], dtype=torch.bool)"
    keys = "context" if form.get("context_dim") else "hidden_states"
    every = every if function else f"torch.ones({keys}.shape[:2], dtype=torch.bool)"
    source = f"({every} if {name} is None else {name})" if required else name
    by_keys = f"{source}[:, 0, 0]" if function and mask["shape"] in ("BL", "B1L", "BLL", "LB") else source
    shaped = source if function and by_keys == source else _SHAPED[mask["shape"]].format(m=by_keys, heads=form["heads"])
    valued = _VALUED[mask["convention"]].format(m=shaped, like=like)
    return valued if required else f"None if {name} is None else {valued}"


def _entry(subject: Mapping[str, Any], module: str, qualname: str, suffix: str) -> list[str]:
    contract, why = subject["contract"], subject["inferred_from"]
    function = subject["choices"]["form"]["canonical"] == "function"
    name = " ".join(filter(None, (qualname, subject["name"])))
    lines = [f"    {json.dumps(name)}: {{", f'        "{"function" if function else "class"}": "{module}:{qualname}",']
    lines += [] if function else [f'        "build": build{suffix},']
    lines += [f'        "forward": forward{suffix},', '        "contract": {']
    for key, value in contract.items():
        lines.append(f'            "{key}": {_python(value)},' + (f"  # {why[key]}" if key in why else ""))
    lines += _undecided(
        [key for key in _UNDECIDED if key not in contract and not (function and key == "projections")], why
    )
    further = [key for key in _FURTHER if key not in contract]
    lines += [f"            # where it has them: {', '.join(further)}; the README says what each means"]
    return [*lines, "        },", "    },"]


def _undecided(keys: Sequence[str], why: Mapping[str, str]) -> list[str]:
    said = {key: f" ({why[key]})" if key in why else "" for key in keys}
    return [f'            # "{key}": ...,  # decide: {_UNDECIDED[key]}{said[key]}' for key in keys]


def _empty_functions(reply: Mapping[str, Any], qualname: str) -> list[str]:
    built, called = reply["signature"].get("build"), reply["signature"].get("call", ["..."])
    lines: list[str] = []
    if built is not None:
        lines += [f"def build() -> {qualname}:", f"    # decide: {qualname}({', '.join(built)})"]
        lines += [f"    return {qualname}()", "", ""]
        head = f"module: {qualname}, hidden_states: Tensor, key_mask: Tensor | None"
        call = "module(hidden_states)"
    else:
        head = "query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None"
        call = f"{qualname}(query, key, value)"
    lines += [f"def forward({head}) -> Tensor:", f"    # decide: it takes ({', '.join(called)})"]
    return [*lines, f"    output: Tensor = {call}", "    return output", "", ""]


def _empty_entry(module: str, qualname: str, *, is_class: bool) -> list[str]:
    lines = [
        f"    {json.dumps(qualname)}: {{",
        f'        "{"class" if is_class else "function"}": "{module}:{qualname}",',
    ]
    lines += ['        "build": build,'] if is_class else []
    lines += ['        "forward": forward,', '        "contract": {']
    lines += ['            # "embed_dim": ...,  # decide: the width of the input'] if is_class else []
    return [*lines, *_undecided(list(_UNDECIDED), {}), "        },", "    },"]


def _python(value: object) -> str:
    """Return the expression for what the probe describes as plain data (its `guess.values`)."""
    if isinstance(value, list):
        return f"[{', '.join(_python(item) for item in value)}]"
    if not isinstance(value, Mapping):
        return repr(value)
    if "$tuple" in value:
        return f"({', '.join(_python(item) for item in value['$tuple'])})"
    if "$settings" in value:
        return f"Settings({_keywords(value['$settings'])})"
    if "$name" in value:
        return str(value["$name"])
    if "$call" in value:
        eager = ["attn_implementation='eager'"] if "_attn_implementation" in value.get("set", {}) else []
        return f"{value['$call']}({', '.join(filter(None, [_keywords(value['arguments']), *eager]))})"
    return "{" + ", ".join(f"{key!r}: {_python(item)}" for key, item in value.items()) + "}"


def _keywords(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={_python(item)}" for key, item in arguments.items())
