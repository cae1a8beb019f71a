"""The lines that decode through a cache as the probe found that it is done, and those of the full pass beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from audit.attention.spec.lines import (
    SHAPED,
    TAKEN,
    VALUED,
    prelude_of,
    python,
    recipe_of,
)

_FIRST = {"dict": "{}", "list": "[]", "pair": "[None, None]", "dynamic": "DynamicCache()"}
_END = "start + length"
# What tables are made of begins at the number of tokens that were cached.
_CONTINUED = (
    ("torch.arange(length)", f"torch.arange(start, {_END})"),
    ("1, length)", f"1, {_END})"),
)


def has_cache(choices: Mapping[str, Any]) -> bool:
    """Whether a call form of a cache was found."""
    return bool(choices["form"].get("cache"))


def decode_lines(choices: Mapping[str, Any], *, qualname: str, suffix: str = "") -> list[str]:
    """Return the lines of `decode(module, chunks)`, with `key_mask` behind where it takes a mask of keys.

    Raises:
        KeyError: an argument is made in a way that has no line of Python.
    """
    form = choices["form"]
    cache = form["cache"]
    masked = ", key_mask: Tensor | None = None" if _mask_of(form) else ""
    lines = [f"def decode{suffix}(module: {qualname}, chunks: list[Tensor]{masked}) -> Tensor:"]
    lines += ['    """chunks (B, L, C) of one input in order; returns their outputs side by side."""']
    lines += ["    from transformers.cache_utils import DynamicCache", ""] if cache["first"] == "dynamic" else []
    lines += [f"    module.{cache['reset']}()"] if cache["reset"] else []
    if cache["parameter"]:
        lines += [f"    cache: object = {_FIRST.get(str(cache['first'])) or python(cache['first'])}"]
    lines += ["    outputs: list[Tensor] = []", "    start = 0  # tokens that are cached", "    for chunk in chunks:"]
    lines += ["        hidden_states = chunk.contiguous()  # a token as it comes, and no view of all"]
    lines += [f"        {line}" for line in _call(form, cached=True)]
    if cache["path"] is not None:
        lines += [f"        cache = {_at('answer', cache['path'])}"]
    lines += [f"        outputs.append({TAKEN[form['out']].format(y=_at('answer', cache['pick']))})"]
    return [*lines, "        start += length", "    return torch.cat(outputs, dim=1)", "", ""]


def whole_lines(choices: Mapping[str, Any], *, qualname: str) -> list[str]:
    """Return the lines of `whole(module, hidden_states, key_mask)`: the same call without the cache, on all tokens."""
    form = choices["form"]
    lines = [f"def whole(module: {qualname}, hidden_states: Tensor, key_mask: Tensor | None = None) -> Tensor:"]
    lines += ["    start = 0"]
    lines += [f"    {line}" for line in _call(form, cached=False)]
    taken = TAKEN[form["out"]].format(y=_at("answer", form["pick"]))
    return [*lines, f"    return {taken}", "", ""]


def _mask_of(form: Mapping[str, Any]) -> Mapping[str, str] | None:
    found: Mapping[str, str] | None = (form["cache"]["mask"] and form.get("cache mask")) or form["mask"]
    return found


def _call(form: Mapping[str, Any], *, cached: bool) -> list[str]:
    """Return the lines of one call, which leave its `answer`."""
    cache, mask = form["cache"], _mask_of(form)
    arguments = {**form["arguments"], **cache["positions"]}
    # A mask that has to be given is one of those that are continued.
    given = {name: recipe_of(recipe, form) for name, recipe in arguments.items() if recipe != "kept"}
    required = [name for name, recipe in arguments.items() if recipe == "kept"]
    lines = ["batch, length, _ = hidden_states.shape"]
    lines += [line for line in prelude_of(" ".join(given.values()), form) if line not in lines]
    for name in required:
        given[name] = _masked(form, mask or form["required_mask"], is_required=True)
    if mask and mask["parameter"]:
        given[mask["parameter"]] = _masked(form, mask, is_required=bool(cache["mask"] or required))
    if required or cache["mask"]:
        lines += [f"kept = torch.ones(batch, {_END}, dtype=torch.bool)"]
        if mask:
            lines += [f"kept = kept if key_mask is None else key_mask[:, : {_END}]"]
    more = dict.fromkeys(cache["flags"], "True") if cached else {}
    more |= dict.fromkeys(cache["starts"], "start")
    if cache["parameter"] and cached:
        more[cache["parameter"]] = "cache"
    inside = [_continued(given.pop(name)) for name in form["positional"] if name in given and name not in more]
    named = {**{name: _continued(text) for name, text in given.items()}, **more}
    call = ", ".join([*inside, *(f"{name}={text}" for name, text in named.items())])
    return [*map(_continued, lines), f"answer = module({call})"]


def _continued(line: str) -> str:
    for before, after in _CONTINUED:
        line = line.replace(before, after)
    return line


def _masked(form: Mapping[str, Any], mask: Mapping[str, str], *, is_required: bool) -> str:
    source = "kept" if is_required else f"key_mask[:, : {_END}]"
    shaped = SHAPED[mask["shape"]].format(m=source, heads=form["heads"])
    if form["cache"]["mask"]:
        shaped = f"({shaped} & torch.ones(length, {_END}, dtype=torch.bool).tril(start))"
    valued = VALUED[mask["convention"]].format(m=shaped, like="hidden_states")
    return valued if is_required else f"None if key_mask is None else {valued}"


def _at(text: str, path: Sequence[object]) -> str:
    for part in path:
        if isinstance(part, Mapping):
            text = f"tuple({text}[{int(part['from'])}:])"
        else:
            text += str(part) if str(part).startswith(".") else f"[{part!r}]"
    return text
