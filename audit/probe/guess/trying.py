"""Tries forms on what was built, on small inputs, and measures on them what a form leaves open: which mask hides keys,
whether earlier outputs see later tokens.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from .. import devices
from . import mask_prose, masks
from .adapting import Form, Misfit, NotFinite, arguments_of, called, located
from .claims import documented_shapes
from .conventions import Sizes
from .problems import told
from .reading import Source, parameters_of, sentences
from .roles import is_named, role_of

# Of the trial calls: batch, queries and keys; neither is another's or one of the sizes.
BATCH, LENGTH, SHORT = 2, 11, 5
_LENGTHS = (5, 12, 22, 1)
_MASKED = 3  # positions that a trial mask hides: the first ones, which a causal layer sees as well
_SEED = 20_011
# How far masked tokens move other outputs, in units of how far they do without the mask; float32 rounds at 1e-7.
_HIDDEN, _NO_EFFECT, _MOSTLY_HIDDEN = 1e-4, 1e-6, 0.1


_MIXES = re.compile(r"landmark|conv[123]d|pool|nystr|linformer|hash|fft|unfold", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """What is called: a module's `__call__` or a function, with the names that its module knows."""

    function: Callable[..., object]
    signature: Callable[..., object]
    namespace: Mapping[str, object]
    path: str


def inputs(
    form: Form, sizes: Sizes, *, length: int = LENGTH, batch: int = BATCH, kv_heads: int | None = None
) -> dict[str, torch.Tensor | None]:
    """Return normal canonical tensors; a context is another length and the width that it was built with."""
    found = _drawn(form, sizes, length=length, batch=batch, kv_heads=kv_heads)
    return {name: None if leaf is None else devices.placed(leaf) for name, leaf in found.items()}


def _drawn(
    form: Form, sizes: Sizes, *, length: int, batch: int, kv_heads: int | None
) -> dict[str, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(_SEED + length + batch)
    if form["canonical"] == "module":
        leaves: dict[str, torch.Tensor | None] = {
            "hidden_states": torch.randn(batch, length, sizes.embed, generator=generator),
            "key_mask": None,
        }
        if form.get("context_dim"):
            leaves["context"] = torch.randn(batch, SHORT + 2, form["context_dim"], generator=generator)
        return leaves
    heads = kv_heads or form.get("kv_heads") or sizes.heads
    short = SHORT if form.get("uneven", True) else length
    return {
        "query": torch.randn(batch, sizes.heads, short, sizes.head_dim, generator=generator),
        "key": torch.randn(batch, heads, length, sizes.head_dim, generator=generator),
        "value": torch.randn(batch, heads, length, sizes.head_dim, generator=generator),
        "mask": None,
    }


def answer(
    target: Target, form: Form, leaves: Mapping[str, torch.Tensor | None], *, is_causal: bool = False
) -> torch.Tensor:
    """Return the output of one call, without gradients."""
    # It may write into them.
    own = {name: None if leaf is None else devices.placed(leaf).clone() for name, leaf in leaves.items()}
    with torch.no_grad():
        return called(target.function, form, own, is_causal=is_causal, namespace=target.namespace)


def fitted(target: Target, form: Form, sizes: Sizes) -> Form:
    """Return the form with the place of its output, as a first call shows it.

    Raises:
        Misfit: the call returns nothing of the canonical shape; and whatever the target raises.
    """
    leaves = inputs(form, sizes)
    arguments = arguments_of(form, leaves, is_causal=False, namespace=target.namespace)
    first = [arguments.pop(name) for name in form["positional"] if name in arguments]
    with torch.no_grad():
        returned = target.function(*first, **arguments)
    found = located(returned, form, leaves)
    if found is None:
        raise Misfit(
            f"the call returned {_shapes(returned)}, and no tensor begins with batch and positions {(BATCH, LENGTH)}"
        )
    output = answer(target, found, leaves)
    if not torch.isfinite(output).all() and not _is_empty_rows(found, output):
        raise NotFinite(f"the output of a normal input is not finite{_at_positions(found, output)}")
    if form["canonical"] == "module" and output.shape[-1] != sizes.embed:
        raise Misfit(
            f"its input has {sizes.embed} channels and its output {output.shape[-1]}; only what keeps them is judged"
        )
    if form.get("filled") and torch.equal(output, output[:, :1].expand_as(output)):
        raise Misfit(f"every position has the same output where {form['filled']} is a value that was made up")
    return found


def _is_empty_rows(form: Form, output: torch.Tensor) -> bool:
    """Whether some positions of a module are finite in every sample, and the others in none: its own mask hides all.

    A mask that was made up may hide too much itself.
    """
    nested = [inner for each in form["arguments"].values() if isinstance(each, Mapping) for inner in each.values()]
    given = [
        *form["arguments"].values(),
        *(each for inner in nested if isinstance(inner, Mapping) for each in inner.values()),
    ]
    if form["canonical"] != "module" or form.get("filled") or "kept" in given:
        return False
    finite = torch.isfinite(output)
    kept = finite.all(dim=-1)
    return bool((kept == finite.any(dim=-1)).all() and (kept == kept[:1]).all() and kept[0].any())


def _at_positions(form: Form, output: torch.Tensor) -> str:
    """Return at which positions an output holds no numbers, in words."""
    axis = 1 if form["canonical"] == "module" else output.dim() - 2
    finite = torch.isfinite(output).all(dim=[d for d in range(output.dim()) if d != axis])
    without = (~finite).nonzero().flatten().tolist()
    if not bool(finite.any()):
        return " at any position"
    if without == [len(finite) - 1]:
        return " at the last position, and is at the others"
    return f" at {len(without)} of {len(finite)} positions: {', '.join(map(str, without))}"


def _shapes(returned: object) -> str:
    if isinstance(returned, torch.Tensor):
        return f"a tensor of shape {tuple(returned.shape)}"
    if isinstance(returned, list | tuple):
        return f"{type(returned).__name__} of {', '.join(_shapes(item) for item in returned[:4])}"
    return type(returned).__name__


def lengths(target: Target, form: Form, sizes: Sizes) -> tuple[list[int], str | None]:
    """Return the lengths besides the first that can be called, and why the first of the others cannot."""
    works, reason = [], None
    for length in _LENGTHS:
        try:
            answer(target, form, inputs(form, sizes, length=length))
            works.append(length)
        except Exception as error:
            reason = reason or f"length {length}: {told(error, within=target.path)}"
    return works, reason


def is_moved_by(target: Target, form: Form, sizes: Sizes, name: str) -> bool:
    """Whether another tensor of this name gives another output."""
    leaves = inputs(form, sizes)
    tensor = leaves[name]
    assert tensor is not None
    other = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(2))
    before, after = answer(target, form, leaves), answer(target, form, {**leaves, name: other})
    return _moved(after, before) > _NO_EFFECT * _spread(before)


def attends(target: Target, form: Form, sizes: Sizes) -> bool:
    """Whether replacing one token of a module moves another position's output by more than rounding."""
    leaves = inputs(form, sizes)
    name = "context" if form.get("context_dim") else "hidden_states"
    tensor = leaves[name]
    assert tensor is not None
    other = tensor.clone()
    other[:, 0] = torch.randn(other[:, 0].shape, generator=torch.Generator().manual_seed(4)) * 2
    before, after = (_finite(answer(target, form, {**leaves, name: each})) for each in (tensor, other))
    return _moved(after[:, 1:], before[:, 1:]) > _HIDDEN * _spread(before)


def mixes_batch(target: Target, form: Form, sizes: Sizes) -> bool:
    """Whether the output of one sample of two depends on the other's input.

    Both are asked: where what is taken for samples are causal positions, the first does not depend on the second.
    """
    leaves = inputs(form, sizes)
    name = "hidden_states" if form["canonical"] == "module" else "value"
    tensor = leaves[name]
    assert tensor is not None
    before = _finite(answer(target, form, leaves))
    for moved, still in ((1, 0), (0, 1)):
        other = tensor.clone()
        other[moved] = torch.randn(other[moved].shape, generator=torch.Generator().manual_seed(1))
        after = _finite(answer(target, form, {**leaves, name: other}))
        if _moved(after[still], before[still]) > 1e-4 * _spread(before):
            return True
    return False


def future_share(target: Target, form: Form, sizes: Sizes, *, is_causal: bool = False) -> float:
    """Return the share of pairs (earlier query, later key) in which the key moves the query's output."""
    trial = form | {"uneven": False}
    leaves = inputs(trial, sizes)
    name = "hidden_states" if form["canonical"] == "module" else "key"
    tensor = leaves[name]
    assert tensor is not None
    before = _finite(answer(target, trial, leaves, is_causal=is_causal))
    seen = pairs = 0
    axis = tensor.dim() - 2
    for position in range(1, tensor.shape[axis]):
        other = tensor.clone()
        changed = other.select(axis, position)
        changed.copy_(torch.randn(changed.shape, generator=torch.Generator().manual_seed(position)))
        after = _finite(answer(target, trial, {**leaves, name: other}, is_causal=is_causal))
        difference = (after - before).abs()
        rows = difference.amax(dim=[d for d in range(difference.dim()) if d != axis])
        seen += int((rows[:position] > 1e-5 * _spread(before)).sum())
        pairs += position
    return seen / pairs


def _finite(output: torch.Tensor) -> torch.Tensor:
    """Return the output with zeros where there is no number: a row without keys has none in any call."""
    return torch.nan_to_num(output, nan=0.0, posinf=0.0, neginf=0.0)


def _moved(after: torch.Tensor, before: torch.Tensor) -> float:
    return float((after - before).abs().max())


def _spread(output: torch.Tensor) -> float:
    return float(output.abs().max()) or 1.0


def with_mask(target: Target, form: Form, source: Source, sizes: Sizes) -> tuple[Form, str | None]:
    """Return the form with a mask of keys where the call takes one, and why in this convention.

    The convention is the documented one, in a list of arguments or in prose; else the first that hides what it should;
    else, where no mask has any effect, the usual one, so that the property that masks hide their keys can judge it.
    """
    wanted = ("context mask", "mask") if form.get("context_dim") else ("mask",)
    names = [each.name for each in parameters_of(target.signature) if is_named(each) and role_of(each.name) in wanted]
    nested = [
        key
        for recipe in form["arguments"].values()
        if isinstance(recipe, Mapping)
        for key, inner in recipe.get("dict", {}).items()
        if inner == "kept"
    ]
    names += nested
    ignored: tuple[Form, str] | None = None
    for name in sorted(names, key=lambda each: (role_of(each) != "context mask", "padding" not in each)):
        known, written = masks.documented(source, name), masks.written(source, name)
        # What prose says leaves open whether a mask of ones and zeros is of whole numbers.
        mixes = bool(_MIXES.search(source.text))
        is_named_only = known and not sentences(source, name)  # as torch's own masks, which prose may contradict
        others = [each for each in names if each != name]
        prose = () if mixes or (known and not is_named_only) else mask_prose.stated(source, name, others)
        known = prose[0] if prose else known
        meant = prose or ((known,) if known else (masks.likeliest(source, name),))
        conventions = meant if known else tuple(dict.fromkeys((*meant, *masks.CONVENTIONS)))
        said = "documented as" if known else "written as" if written else "usually"
        ran: list[tuple[float, float, Form]] = []
        second: tuple[Form, str] | None = None
        for convention in conventions:
            for shape in documented_shapes(source, name) or masks.SHAPES:
                mask = {"parameter": "" if name in nested else name, "convention": convention, "shape": shape}
                trial = form | {"mask": mask, "required_mask": mask}
                try:
                    leak, effect = _leak(target, trial, sizes)
                    hides = leak <= _HIDDEN and effect > _HIDDEN
                    if hides and not known and not _sees_kept(target, trial, sizes):
                        continue  # its values are taken for others, and hide every token
                except Exception:  # not this form; which one it is, the others tell
                    continue
                ran.append((leak, effect, trial))
                if hides:
                    how = said if convention in (*prose, known, written) else "found to be"
                    found = trial, f"{name} is {how} {convention}, {shape}"
                    if known or _keeps_all(target, trial, sizes):
                        return found
                    second = second or found  # another form may hide the same tokens, and nothing else
        if second:
            return second
        if not ran:
            continue
        if not known and mixes and any(effect > _HIDDEN for _, effect, _ in ran):
            continue  # positions reach one another past the attention; what the mask is to hide is not said
        if known or written or all(effect <= _NO_EFFECT for _, effect, _ in ran):
            likeliest = [each for each in ran if each[2]["mask"]["convention"] in meant]
            if not likeliest:
                continue  # what it is said to take could not be tried
            _, effect, best = min(likeliest, key=lambda each: each[0])
            found = best, f"{name} is {said} {best['mask']['convention']}; it did not hide keys in a trial"
            if effect > _NO_EFFECT:
                return found
            ignored = ignored or found  # it may be for another kind of call, where another argument masks this one
            continue
        leak, _, best = min(ran, key=lambda each: each[0])
        if leak < _MOSTLY_HIDDEN:
            return best, f"{name} hides most as {best['mask']['convention']}"
    return ignored or (form, f"what {' and '.join(names)} does was not found out" if names else None)


def _with_keys(trial: Form, sizes: Sizes) -> tuple[dict[str, torch.Tensor | None], str, torch.Tensor]:
    """Return the inputs of a call, and the name and value of the one that keys are made of."""
    leaves = inputs(trial, sizes)
    name = "key" if trial["canonical"] == "function" else "context" if trial.get("context_dim") else "hidden_states"
    tensor = leaves[name]
    assert tensor is not None
    return leaves, name, tensor


def _keeps_all(target: Target, trial: Form, sizes: Sizes) -> bool:
    """Whether a mask that hides nothing changes nothing."""
    leaves, _, tensor = _with_keys(trial, sizes)
    function = trial["canonical"] == "function"
    kept = torch.ones(tensor.shape[0], tensor.shape[-2], dtype=torch.bool)
    masked = {"mask": kept[:, None, None, :]} if function else {"key_mask": kept}
    before, after = answer(target, trial, leaves), answer(target, trial, {**leaves, **masked})
    return _moved(after, before) <= _NO_EFFECT * _spread(before)


def _sees_kept(target: Target, trial: Form, sizes: Sizes) -> bool:
    """Whether a token that the mask keeps moves the outputs of later ones."""
    leaves, name, tensor = _with_keys(trial, sizes)
    function = trial["canonical"] == "function"
    axis = tensor.dim() - 2
    kept = torch.ones(tensor.shape[0], tensor.shape[axis], dtype=torch.bool)
    kept[0, :_MASKED] = False
    masked = {"mask" if function else "key_mask": kept[:, None, None, :] if function else kept}
    other = tensor.clone()
    changed = other[0].select(axis - 1, _MASKED)
    changed.copy_(torch.randn(changed.shape, generator=torch.Generator().manual_seed(5)) * 2)
    before, after = (answer(target, trial, {**leaves, **masked, name: each})[0] for each in (tensor, other))
    rows = slice(_MASKED + 1, None) if name == "hidden_states" else slice(None)
    before, after = before[..., rows, :], after[..., rows, :]  # earlier ones may see no key, and are NaN in some
    return _moved(after, before) > _NO_EFFECT * _spread(before)


def _leak(target: Target, trial: Form, sizes: Sizes) -> tuple[float, float]:
    """Return how far masked tokens move other outputs, in units of how far they do unmasked, and the mask's effect."""
    leaves, name, tensor = _with_keys(trial, sizes)
    function = trial["canonical"] == "function"
    axis = tensor.dim() - 2
    kept = torch.ones(tensor.shape[0], tensor.shape[axis], dtype=torch.bool)
    kept[0, :_MASKED] = False
    masked = kept[:, None, None, :] if function else kept
    other = tensor.clone()
    changed = other[0].narrow(axis - 1, 0, _MASKED)
    changed.copy_(torch.randn(changed.shape, generator=torch.Generator().manual_seed(3)) * 2)
    mask_name = "mask" if function else "key_mask"
    rows = slice(None) if name != "hidden_states" else slice(_MASKED, None)

    def first_rows(**changes: torch.Tensor) -> torch.Tensor:
        found = answer(target, trial, {**leaves, **changes})
        return found[0, :, :] if function else found[0, rows]

    before, after = first_rows(**{mask_name: masked}), first_rows(**{mask_name: masked, name: other})
    whole, moved = first_rows(), first_rows(**{name: other})
    if not (torch.isfinite(before).all() and torch.isfinite(after).all()):
        raise Misfit("not finite")
    return _moved(after, before) / (_moved(moved, whole) or 1.0), _moved(before, whole) / _spread(whole)


def grouped(target: Target, form: Form, sizes: Sizes) -> int:
    """Return the fewest of the two numbers of key heads that a function takes."""
    try:
        answer(target, form, inputs(form, sizes, kv_heads=sizes.kv_heads))
    except Exception:  # it takes as many heads of keys as of queries
        return sizes.heads
    return sizes.kv_heads


def alignment(target: Target, form: Form, sizes: Sizes) -> str | None:
    """Return which corner a function's causal mask meets where there are fewer queries than keys, if it is either."""
    leaves = inputs(form, sizes)
    key = leaves["key"]
    assert key is not None
    before = answer(target, form, leaves, is_causal=True)
    seen: list[bool] = []
    for position in range(LENGTH):
        other = key.clone()
        other[:, :, position] = torch.randn(
            other[:, :, position].shape, generator=torch.Generator().manual_seed(position)
        )
        after = answer(target, form, {**leaves, "key": other}, is_causal=True)
        seen.append(_moved(after[:, :, 0], before[:, :, 0]) > 1e-5 * _spread(before))
    # With one key there is nothing to weigh: moving it moves nothing.
    if not any(seen[1:]):
        return "top_left"
    first_hidden = LENGTH - SHORT + 1
    return "bottom_right" if all(seen[:first_hidden]) and not any(seen[first_hidden:]) else None
