"""The call form of a cache: what is passed first, what comes back, and how a call is told where its tokens stand.

A convention is plain data, kept in the form under `cache`:

- `parameter`: the argument that takes the cache; None where the module itself keeps it;
- `first`: what it is given first: None, `dict`, `list`, `pair` (`[None, None]`), `dynamic` (of transformers), or
  `{"$call": ...}`, an object of the target's own class;
- `path`: where the next cache is in what is returned; None where the first one is written into;
- `pick`: where the output is in what a call with the cache returns: `return (out, cache) if use_cache else out`;
- `flags`: further arguments of every such call, set to True; `starts`: arguments that get the number of tokens that
  were cached, `positions`: those that get the positions of the new tokens, each with its recipe;
- `reset`: the method that empties what the module keeps; `mask`: whether a causal mask has to be passed;
- `makes positions`: whether the call makes positions itself where those that it takes are left out.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch

from . import cache_places, masks, structure, trying
from .adapting import Form, Misfit, called, output, places
from .constructing import Constructor
from .conventions import Sizes
from .problems import told
from .reading import Source, is_module_class, parameters_of, read
from .roles import is_named
from .trying import Target
from .values import decoded as value_of

Leaves = Mapping[str, torch.Tensor | None]
Cache = dict[str, Any]

_NAMES = re.compile(
    r"^(past_key_values?|layer_past|past|past_kvs?|past_kv_cache|(layer_)?(kv|key_value)?_?caches?|kvcache|past_states?|"
    r"incremental_state|inference_params|prev_kvs?|attn_cache|decode_cache|cached_kv|prev_key_values?)$"
)
_FLAGS = re.compile(
    r"^(use_(kv_)?caches?|use_caching|use_past|(return|output)_(new_|kv_)?caches?|"
    r"(return|output)_(past|present)s?(_(kvs?|key_values?))?|(return|output)_(kvs?|key_values?)|"
    r"cache_kv|save_cache|update_cache|with_cache)$"
)
_STARTS = re.compile(
    r"^(start_pos|offset|past_length|start_position|cur_pos|current_pos|start_index|pos_offset|position_offset|"
    r"seq_offset|past_len|cache_len|start)$"
)
_POSITIONS = re.compile(r"^(position_ids|positions|pos_ids|input_pos|cache_position|input_positions)$")
_RESETS = ("reset_cache", "reset_kv_cache", "clear_cache", "clear_kv_cache", "empty_cache", "reset_state", "reset")
_CLASSES = re.compile(r"Cache$|^InferenceParams$|^Cache\w*$")
_FIRST = 6  # tokens of the first chunk; all are replaced, for through a window only the last of them are seen
_AGREES = 1e-4  # of the output's size; float32 rounds at 1e-7
_MOST_TRIALS = 40


def decoded(
    function: Any,
    form: Form,
    leaves: Leaves,
    chunks: Sequence[int],
    *,
    namespace: Mapping[str, object],
    uncached: bool,
    without_positions: bool = False,
) -> torch.Tensor:
    """Return the outputs of chunks that are passed one after another through the cache, side by side (B, L, E).

    Args:
        function: what is called.
        form: with a `cache`.
        leaves: `hidden_states` of all chunks, perhaps a `key_mask` of as many positions.
        chunks: their lengths.
        namespace: of the target.
        uncached: whether each is passed without the cache, as if nothing had come before.
        without_positions: whether the positions that the call can make itself are left out.
    """
    cache: Cache = form["cache"]
    positions = {} if without_positions else cache["positions"]
    hidden, key_mask = cast(torch.Tensor, leaves["hidden_states"]), leaves.get("key_mask")
    form = _masked(form, cache)
    if cache["reset"] and not uncached:
        getattr(function, cache["reset"])()
    state = None if uncached else _first(cache["first"], namespace)
    outputs: list[torch.Tensor] = []
    start = 0
    for size in chunks:
        end = start + size
        part = {
            **leaves,
            "hidden_states": hidden[:, start:end].contiguous(),
            "key_mask": None if key_mask is None else key_mask[:, :end],
        }
        more: dict[str, object] = {} if uncached else dict.fromkeys(cache["flags"], True)
        more |= dict.fromkeys(cache["starts"], start)
        if cache["parameter"] and not uncached:
            more[cache["parameter"]] = state
        own = form | {"start": start, "arguments": form["arguments"] | positions}
        own = own if uncached else own | {"pick": cache["pick"]}
        answers: list[object] = []
        outputs.append(called(function, own, part, is_causal=False, namespace=namespace, more=more, answers=answers))
        if cache["path"] is not None and not uncached:
            state = cache_places.at(answers[0], cache["path"])
        start = end
    return torch.cat(outputs, dim=1)


def with_cache(target: Target, form: Form, source: Source, sizes: Sizes) -> tuple[Form, str | None]:
    """Return the form with the convention of a cache, and why there is none.

    The first convention is taken with which chunks give what the whole gives; else the first that is one: the first
    chunk is right, and what was cached reaches the second.
    """
    if form["canonical"] != "module" or form.get("context_dim") or form["layout"] not in ("BLC", "LBC"):
        return form, None
    options = list(_conventions(target, source, sizes))
    if not options:
        return form, None
    masked = next((each for each in _causal(target, form, sizes)), None)
    if masked is None:
        return form, "later tokens are seen, and it takes no mask that could hide them"
    form, needs_mask = masked
    second: Form | None = None
    reason: str | None = None
    for option in options[:_MOST_TRIALS]:
        trial = form | {"cache": option | {"mask": needs_mask}}
        try:
            found = list(_places(target, trial, sizes))
        except Exception as error:  # it cannot be called so, or returns no output then
            reason = reason or told(error, within=target.path)
            continue
        for pick, path in found:
            ready = trial | {"cache": trial["cache"] | {"pick": pick, "path": path}}
            try:
                first, whole, reads = _tried(target, ready, sizes)
            except Exception as error:  # not this convention; which one it is, the others tell
                reason = reason or told(error, within=target.path)
                continue
            if whole and reads:
                made = _makes_positions(target, ready, source, sizes)
                return ready | {"cache": ready["cache"] | {"makes positions": made}}, None
            if first and reads and second is None:
                second = ready
    return (second, None) if second else (form, reason or "no call of any known form continues from cached tokens")


def _conventions(target: Target, source: Source, sizes: Sizes) -> Iterator[Cache]:
    """Yield the conventions that the call's arguments may have, the likeliest first, their paths still open."""
    parameters = [each for each in parameters_of(target.signature) if is_named(each)]
    names = {each.name: each for each in parameters}
    flags = [name for name in names if _FLAGS.match(name)]
    starts = [name for name in names if _STARTS.match(name)]
    tables = [name for name in names if _POSITIONS.match(name) and names[name].default is None]
    caches = [name for name in names if _NAMES.match(name)]
    varieties: list[dict[str, Any]] = []
    for recipe in ("positions L", "positions", None) if tables else (None,):
        varieties.append({"starts": starts, "positions": {} if recipe is None else dict.fromkeys(tables, recipe)})
    for name in caches:
        for variety in varieties:
            for first, returned in _firsts(name, names[name], target, sizes):
                yield {
                    "parameter": name,
                    "first": first,
                    "path": [] if returned else None,
                    "flags": flags,
                    "reset": None,
                    **variety,
                }
    reset = next((each for each in _RESETS if callable(getattr(target.function, each, None))), None)
    keeps = any(re.search(r"cache", key) for key in getattr(target.function, "__dict__", {})) or bool(
        re.search(r"self\.\w*(cache|past)\w*", source.text)
    )
    if not caches and keeps and (flags or starts or reset):
        for variety in varieties:
            yield {"parameter": None, "first": None, "path": None, "flags": flags, "reset": reset, **variety}


def _firsts(name: str, parameter: inspect.Parameter, target: Target, sizes: Sizes) -> Iterator[tuple[object, bool]]:
    """Yield what a cache may be first, and whether the next one is returned."""
    yield None, True
    of_transformers = "transformers" in sys.modules or "Cache" in str(parameter.annotation)
    if (name.startswith("past_key_value") or of_transformers) and _has_dynamic():
        yield "dynamic", False
    for made in _own_classes(parameter, target, sizes):
        yield made, False
        yield made, True
    yield "dict", False
    yield "list", False
    yield "pair", False
    yield "dict", True


def _has_dynamic() -> bool:
    try:
        return hasattr(importlib.import_module("transformers.cache_utils"), "DynamicCache")
    except Exception:  # it is not there, or cannot be imported with what is
        return False


def _own_classes(parameter: inspect.Parameter, target: Target, sizes: Sizes) -> Iterator[dict[str, object]]:
    annotated = str(parameter.annotation)
    classes = [
        (name, value)
        for name, value in target.namespace.items()
        if isinstance(value, type) and _CLASSES.search(name) and value.__module__.partition(".")[0] != "typing"
    ]
    for name, built in sorted(classes, key=lambda each: each[0] not in annotated):
        if inspect.isabstract(built) or (name == "DynamicCache"):
            continue
        try:
            constructor = Constructor(built, read(built), target.namespace)
            arguments = constructor.assembled(constructor.slots(sizes, {}), {})
            value: dict[str, object] = {"$call": name, "arguments": dict(arguments)}
            value_of(value, target.namespace)
        except Exception:  # it needs what its names do not say
            continue
        yield value
        if is_module_class(built):
            return


def _first(first: object, namespace: Mapping[str, object]) -> object:
    match first:
        case "dict":
            return {}
        case "list":
            return []
        case "pair":
            return [None, None]
        case "dynamic":
            return importlib.import_module("transformers.cache_utils").DynamicCache()
    return value_of(first, namespace)


def _causal(target: Target, form: Form, sizes: Sizes) -> Iterator[tuple[Form, bool]]:
    """Yield the form in which no output depends on later tokens, and whether a mask has to be passed for it."""
    if trying.future_share(target, form, sizes) == 0:
        yield form, False
    mask = form["mask"]
    if not mask:
        return
    for shape in dict.fromkeys((mask["shape"], *masks.WITH_QUERIES)):
        if shape not in masks.WITH_QUERIES:
            continue
        own = form | {"cache mask": mask | {"shape": shape}}
        try:
            if trying.future_share(target, _masked(own, {"mask": True}), sizes) == 0:
                yield own, True
        except Exception:  # it takes no mask of this shape
            continue


def _masked(form: Form, cache: Mapping[str, object]) -> Form:
    mask = form.get("cache mask") or form["mask"]
    return form | {"mask": mask, "required_mask": mask, "causal mask": True} if cache["mask"] else form


def _tried(target: Target, form: Form, sizes: Sizes) -> tuple[bool, bool, bool]:
    """Return whether the first chunk is right, whether all are in two chunkings, and whether the cache is read."""
    leaves = trying.inputs(form, sizes)
    hidden = cast(torch.Tensor, leaves["hidden_states"])
    length = hidden.shape[1]

    def output(chunks: Sequence[int], tokens: torch.Tensor = hidden, *, uncached: bool = False) -> torch.Tensor:
        with torch.no_grad():
            own = {**leaves, "hidden_states": tokens.clone()}
            return decoded(target.function, form, own, chunks, namespace=target.namespace, uncached=uncached)

    whole, rest = output([length], uncached=True), [1] * (length - _FIRST)
    size = _AGREES * float(whole.abs().max())
    chunks = output([_FIRST, *rest])
    first = float((chunks[:, :_FIRST] - whole[:, :_FIRST]).abs().max()) <= size
    right = first and all(float((output(each) - whole).abs().max()) <= size for each in ([_FIRST, *rest], [1] * length))
    other = hidden.clone()
    other[:, :_FIRST] = torch.randn(other[:, :_FIRST].shape, generator=torch.Generator().manual_seed(5)) * 2
    reads = float((output([_FIRST, *rest], other)[:, _FIRST:] - chunks[:, _FIRST:]).abs().max()) > size
    return first, right, reads


def _makes_positions(target: Target, form: Form, source: Source, sizes: Sizes) -> bool:
    """Whether positions that are left out are made in the call, and are those from zero where nothing was cached."""
    positions = form["cache"]["positions"]
    if not positions:
        return False
    code = structure.code_of(source)
    if not all(re.search(rf"\b{name} is (not )?None\b", code) for name in positions):
        return False
    leaves = trying.inputs(form, sizes)
    hidden = cast(torch.Tensor, leaves["hidden_states"])

    def output(*, without: bool) -> torch.Tensor:
        with torch.no_grad():
            return decoded(
                target.function, form, leaves, [hidden.shape[1]], namespace=target.namespace, uncached=True,
                without_positions=without,
            )  # fmt: skip

    try:
        given, made = output(without=False), output(without=True)
    except Exception:  # they have to be passed
        return False
    return float((made - given).abs().max()) <= _AGREES * float(given.abs().max())


def _places(target: Target, form: Form, sizes: Sizes) -> Iterator[tuple[list[object], list[object] | None]]:
    """Yield the places of the output and of what may be a cache in the answer to a first chunk, the likeliest first.

    The second is None where the cache is one that is written into.

    Raises:
        Misfit: there is no output in it; and whatever the target raises.
    """
    cache = form["cache"]
    leaves = trying.inputs(form, sizes, length=_FIRST)
    own = _masked(form, cache)
    own = own | {"arguments": own["arguments"] | cache["positions"]}
    answer = _first_answer(target, own, leaves)
    pick = _pick(target, own, leaves, answer)
    if cache["path"] is None:
        yield pick, None
        return
    found: list[tuple[bool, list[object]]] = []
    for path, value in cache_places.parts(answer):
        if path == pick or value is None:
            continue
        tensors = [value] if isinstance(value, torch.Tensor) else cache_places.tensors(value)
        # Keys and values are two; of a window's there may be fewer than tokens.
        if any(_FIRST in tensor.shape for tensor in tensors) or len(tensors) == 2:
            named = any(isinstance(part, str) and re.search(r"past|present|cache|kv", part) for part in path)
            found.append((not (named or len(tensors) > 1), path))
    for _, path in sorted(found, key=lambda each: each[0]):
        yield pick, path


def _first_answer(target: Target, form: Form, leaves: Leaves) -> object:
    """Return all that a call with the first cache returns."""
    cache = form["cache"]
    if cache["reset"]:
        getattr(target.function, cache["reset"])()
    more: dict[str, object] = dict.fromkeys(cache["flags"], True) | dict.fromkeys(cache["starts"], 0)
    if cache["parameter"]:
        more[cache["parameter"]] = _first(cache["first"], target.namespace)
    answers: list[object] = []
    with torch.no_grad():
        try:
            called(
                target.function, form, leaves, is_causal=False, namespace=target.namespace, more=more, answers=answers
            )
        except Exception:
            if not answers:
                raise  # of the target; else the output is elsewhere, which `_pick` finds
    return answers[0]


def _pick(target: Target, form: Form, leaves: Leaves, answer: object) -> list[object]:
    """Return where the output is in a call with the cache: where it was without, or what is closest to it.

    What is compared is the first chunk, before which nothing was cached.

    Raises:
        Misfit: no tensor has the output's shape; and whatever the target raises.
    """
    with torch.no_grad():
        plain = called(
            target.function, form, leaves, is_causal=False, namespace=target.namespace,
            more=dict.fromkeys(form["cache"]["starts"], 0),
        )  # fmt: skip
    found: list[tuple[float, list[object]]] = []
    before: list[object] = form["pick"]
    for pick in (before, *places(answer)):
        try:
            tensor = output(answer, form | {"pick": pick}, leaves)
        except (Misfit, LookupError, TypeError, AttributeError):  # there is none at this place
            continue
        if tensor.shape == plain.shape:
            if pick == before:
                return before
            found.append((float((tensor - plain).abs().max()), pick))
    if not found:
        raise Misfit("a call with the cache returns no tensor that has the shape of the output without it")
    return min(found, key=lambda each: each[0])[1]
