"""The text of a specs module for one class or function, from what the probe found of it: ready to run, and to edit.

What was found is written out as plain Python; what nothing says stands there as a comment that asks for a decision.
"""

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.attention.contract import REQUIRED
from audit.attention.decode_stub import decode_lines, has_cache
from audit.attention.model_stub import ModelStub, model_stub
from audit.attention.spec.header import header_lines, models_lines, none_lines
from audit.attention.spec.lines import (
    HEADS_TAKEN,
    TAKEN,
    mask_of,
    prelude_of,
    python,
    recipe_of,
)
from audit.attention.spec.names import aliases_of, in_docstring, one_line_each, renamed
from audit.errors import Unfinished
from audit.gateway.client import Plain
from audit.target import Settings

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
    "window", "num_global_tokens", "soft_cap", "alibi_slopes", "sinks", "value_scale", "feature_map", "random_features",
    "rows_sum_to_one", "positions",
    "given_mask", "empty_row", "rotary_base", "dtypes",
)  # fmt: skip


def spec_stub(
    found: Mapping[str, Plain],
    *,
    root: Path | None = None,
    settings: Settings | None = None,
    model: Mapping[str, Plain] | None = None,
    attends: bool = True,
    elsewhere: Sequence[str] = (),
) -> str:
    """Return the text of a specs module for what `attention_find` replied about a class or function.

    Args:
        found: the reply.
        root: the folder whose `pyproject.toml` counts, and
        settings: what that says; without them it is taken for empty and beside the topmost package.
        model: what `model_find` replied where it is a whole model.
        attends: whether it is attention, or may be; else it stands in MODELS alone.
        elsewhere: the attention beside such a model, each as `FILE::NAME`.

    Raises:
        Unfinished: it would be no Python.
    """
    try:
        plain_text, names = _module(found, {}, root, settings, model, elsewhere, attends=attends)
        aliases = aliases_of(plain_text, names)
        text = plain_text
        if aliases:
            text, _ = _module(found, aliases, root, settings, model, elsewhere, attends=attends)
        ast.parse(text)
    except (SyntaxError, ValueError) as wrong:
        raise Unfinished(
            f"{found['qualname']!s}: what was found out of it cannot be written as Python: {wrong}"
        ) from None
    return text


def leaves_nothing(found: Mapping[str, Plain]) -> bool:
    """Whether every entry of ATTENTION has the keys that specs must have, and there is one."""
    reply: Any = found
    contracts = [each["contract"] for each in _usable(reply)]
    required = {*REQUIRED, *(["embed_dim"] if reply["kind"] == "module" else [])}
    return bool(contracts) and all(required <= each.keys() for each in contracts)


def _module(
    found: Mapping[str, Plain],
    aliases: Mapping[str, str],
    root: Path | None,
    settings: Settings | None,
    model: Mapping[str, Plain] | None,
    elsewhere: Sequence[str],
    *,
    attends: bool,
) -> tuple[str, list[str]]:
    """Return the text in which names of the target are replaced by their `aliases`, and what is imported from it."""
    reply: Any = found
    declared, problem = str(reply["qualname"]), reply["problem"]
    first, dot, rest = declared.partition(".")
    qualname = aliases.get(first, first) + dot + rest
    path = Path(str(reply["path"]))
    module = reply["module"] or path.stem
    of_model = None
    if model is not None:
        signature = reply["signature"].get("build", [])
        of_model = model_stub(
            model, module=module, qualname=qualname, declared=declared, signature=signature, aliases=aliases
        )
        problem = problem if attends else model["problem"]
    told = in_docstring(f"How {declared} of {module} is built and called, and what it promises.")
    lines = [f'"""{told}"""', ""]
    lines += [*header_lines(module, path, root=root, settings=settings, is_model=not attends), ""]
    if not reply["module"]:
        lines += [f"# {path.name} is part of no package: its folder must be on the path.", ""]
    if reply["loading"] and not problem:
        lines += [f"# It was {reply['loading']}", "# decide: specs import the module, so that it has to load.", ""]
    if problem:
        functions = "`build_model` and `inputs`" if of_model else "`build` and `forward`"
        lines += [f"# Not found out: {problem}", f"# decide: fill in {functions}.", ""]
    body, usable = _attention(renamed(reply, aliases), qualname, lines) if attends else ([], [])
    names = {first, *(name for each in _usable(reply) if attends for name in names_in(each["choices"]))}
    if of_model:
        body += of_model.functions
        names |= set(names_of(list(of_model.names)))
    lines += _imports(module, sorted(names), "\n".join(body), aliases)
    lines += body
    lines += models_lines(module) if of_model is None else _models(of_model)
    lines += ["ATTENTION: dict[str, dict[str, object]] = {"]
    if not attends:
        lines += none_lines(elsewhere)
    for i, each in enumerate(usable):
        lines += _entry(each, module, declared, _suffix(i))
    if attends and not usable:
        lines += _empty_entry(module, declared, is_class="build" in reply["signature"])
    return one_line_each([*lines, "}"]), sorted(names)


def _usable(reply: Any) -> list[Mapping[str, Any]]:
    """Return the ways to build and call it that specs can declare."""
    return [each for each in reply["subjects"] if "context_dim" not in each["contract"]]


def _attention(reply: Any, qualname: str, lines: list[str]) -> tuple[list[str], list[Mapping[str, Any]]]:
    """Return the functions of every way to build and call it that specs can declare, and these; tell of the others."""
    lines += [f"# Not built with {name}: {why}" for name, why in reply["not_built"].items()]
    usable = _usable(reply)
    for each in reply["subjects"]:
        if each not in usable:
            lines.append(f"# A call with a context is not one that specs can declare: {each['call']}")
    is_class = "build" in reply["signature"]
    body = [
        line
        for i, each in enumerate(usable)
        for line in (
            *_functions(each, qualname, _suffix(i), is_class=is_class),
            *_decode(each["choices"], qualname, _suffix(i)),
        )
    ]
    return body or _empty_functions(reply, qualname), usable


def _models(stub: ModelStub) -> list[str]:
    lines = ["# Whole models, for `smoke`, `train` and `readiness`.", "MODELS: dict[str, dict[str, object]] = {"]
    return [*lines, *stub.entry, "}"]


def functions_of(choices: Mapping[str, Any], qualname: str, *, is_class: bool) -> list[str]:
    """Return the lines of `build` (of a class) and `forward` for the choices of one way to build and call it.

    Raises:
        KeyError: an argument is made in a way that has no line of Python.
    """
    return _functions({"choices": choices}, qualname, "", is_class=is_class)


def names_in(choices: Mapping[str, Any]) -> list[str]:
    """Return the names of the target's module that a way to build and call it needs."""
    cache = choices["form"].get("cache") or {}
    return names_of(choices["arguments"]) + names_of(cache.get("first"))


def _decode(choices: Mapping[str, Any], qualname: str, suffix: str) -> list[str]:
    """Return the lines of `decode`, or the reason why there are none of a cache that it seems to have."""
    if not has_cache(choices):
        why = choices["form"].get("why no cache")
        return [f"# decide: `decode` for its cache, whose call was not found out: {why}", "", ""] if why else []
    lines = decode_lines(choices, qualname=qualname, suffix=suffix)
    if choices["form"]["cache"]["mask"]:
        lines = ["# decide: without a mask later tokens are seen; `forward` must hide them as this does.", *lines]
    return lines


def _suffix(index: int) -> str:
    return f"_{index + 1}" if index else ""


def _imports(module: str, names: Sequence[str], body: str, aliases: Mapping[str, str]) -> list[str]:
    lines = ["from types import SimpleNamespace"] if "Settings(" in body else []
    lines += ["from typing import Any"] if ": Any" in body else []
    lines += [""] if lines else []
    lines += ["import torch"] if "torch." in body else []
    shown = ", ".join(f"{name} as {aliases[name]}" if name in aliases else name for name in names)
    lines += ["from torch import Tensor", "", f"from {module} import {shown}", "", ""]
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
        lines += [f"        {name}={python(value)}," for name, value in arguments.items()]
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
    given = {name: recipe_of(recipe, form) for name, recipe in form["arguments"].items()}
    if mask and mask["parameter"]:
        given[mask["parameter"]] = mask_of(form, mask, required="kept" in form["arguments"].values())
    prelude = prelude_of(" ".join(given.values()), form, function=function)
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
    taken = (HEADS_TAKEN if function else TAKEN)[form["out"]].format(y=output)
    return [*prelude, f"output: Tensor = {taken}", "return output"]


def _entry(subject: Mapping[str, Any], module: str, qualname: str, suffix: str) -> list[str]:
    contract, why = subject["contract"], subject["inferred_from"]
    function = subject["choices"]["form"]["canonical"] == "function"
    name = " ".join(filter(None, (qualname, subject["name"])))
    lines = [f"    {json.dumps(name)}: {{", f'        "{"function" if function else "class"}": "{module}:{qualname}",']
    lines += [] if function else [f'        "build": build{suffix},']
    lines += [f'        "forward": forward{suffix},']
    lines += [f'        "decode": decode{suffix},'] if has_cache(subject["choices"]) else []
    lines += ['        "contract": {']
    for key, value in contract.items():
        lines.append(f'            "{key}": {python(value)},' + (f"  # {why[key]}" if key in why else ""))
    lines += _undecided(
        [key for key in _UNDECIDED if key not in contract and not (function and key == "projections")], why
    )
    further = [key for key in _FURTHER if key not in contract]
    lines += [f"            # where it has them: {', '.join(further)}; docs/writing-specs.md says what each means"]
    return [*lines, "        },", "    },"]


def _undecided(keys: Sequence[str], why: Mapping[str, str]) -> list[str]:
    said = {key: f" ({why[key]})" if key in why else "" for key in keys}
    return [
        f'            # "projections" is left out: {why[key]}'
        if key == "projections" and key in why
        else f'            # "{key}": ...,  # decide: {_UNDECIDED[key]}{said[key]}'
        for key in keys
    ]


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
