"""Forms in which a module or function may be called, the likeliest first, from the names of its arguments, the shapes
that its source unpacks and those that its documentation gives.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from . import conventions, layouts, masks
from .adapting import Form
from .claims_of import WINDOW as WINDOWS
from .conventions import WINDOW, Sizes
from .reading import Source, documented_axes, keys_read, parameters_of, unpacked
from .roles import is_named, is_required, role_of

# Recipes of a role, the first one to be tried first.
_RECIPES: Mapping[str, tuple[object, ...]] = {
    "rope pair": ("rope pair", "rope pair L", "rope complex", "rope complex B", "rope pair half", "rope angles"),
    "rope table": ("rope complex", "rope complex B", "rope angles", "rope pair", "rope angles 4", "rope stacked"),
    "cos": ("cos", "cos 4", "cos half"),
    "sin": ("sin", "sin 4", "sin half"),
    "positions": ("positions", "positions L"),
    "zero": ({"const": 0},),
    "zeros": ("zeros", {"const": None}),
    "grid": ("grid", "grid tensor", "width"),
    "height": ("height",),
    "width": ("width",),
    "alibi": ("alibi", {"const": None}),
    "lengths": ("lengths",),
    "packed": ("packed",),
    "packed k": ("packed k",),
    "longest": ("longest",),
    "longest k": ("longest k",),
    "causal": ({"const": False},),
}
_BLOCK = re.compile(
    r"^((q|k|kv|query|key|row|col)_?)?(block|chunk|tile|bucket)(_?(size|len|length|q|k|kv|m|n))?$|^b[rc]$"
)
# A table whose last axis holds a cosine and a sine, read one after the other.
_STACKED = re.compile(r"\b\w*(?:freq|rope|rotary|cis|cos_sin)\w*\[\.\.\., ?[01]\]")
_UNKNOWN: tuple[object, ...] = ({"const": None}, {"const": False}, {"const": 0}, "zeros")


def forms_of(function: Callable[..., object], source: Source, sizes: Sizes, *, has_layers: bool) -> Iterator[Form]:
    """Yield the forms to try on `forward` or on a function; `has_layers` tells that it projects its inputs itself."""
    parameters = [each for each in parameters_of(function) if is_named(each)]
    roles = {each.name: role_of(each.name) for each in parameters}
    by_role = {role: name for name, role in reversed(roles.items()) if role}
    triple = [by_role[role] for role in ("query", "key", "value") if role in by_role]
    given = {each.name for each in parameters if is_required(each)}
    if not parameters:  # `*args` only
        yield from _modules(parameters, {}, {}, source, sizes, None)
        return
    if len(triple) == 3 and not has_layers:
        yield from _functions(parameters, roles, triple, source, sizes)
    first = parameters[0].name
    inputs: dict[str, object] = {}
    if "query" in by_role and "hidden" not in by_role and (by_role["query"] in given or not given):
        inputs[by_role["query"]] = "hidden"
        inputs |= {name: "context" for name in triple[1:] if name in given or len(triple) == 3}
        if "context" in by_role and by_role["context"] in given:
            inputs[by_role["context"]] = "context"
        main = by_role["query"]
    else:
        main = by_role["hidden"] if roles[first] not in ("hidden", None) and "hidden" in by_role else first
        keys = keys_read(source, main)
        inputs[main] = {"dict": _of_keys(keys)} if keys else "hidden"
        inputs |= {
            n: "context" for n in (by_role.get("context"), by_role.get("key"), by_role.get("value")) if n in given
        }
    yield from _modules(parameters, roles, inputs, source, sizes, main)
    optional = [
        name
        for name in (by_role.get("context"), by_role.get("key"), by_role.get("value"))
        if name and name not in inputs
    ]
    if optional:  # where it is not enough to give the queries alone
        yield from _modules(parameters, roles, inputs | dict.fromkeys(optional, "context"), source, sizes, main)
    if len(triple) == 3 and has_layers:
        yield from _functions(parameters, roles, triple, source, sizes)


def crossed(form: Form, function: Callable[..., object]) -> Form | None:
    """Return the form of a call that attends to a context, of one that does so to itself; None where it cannot."""
    if "context" in form["arguments"].values():
        return form
    for each in parameters_of(function):
        if is_named(each) and role_of(each.name) == "context":
            return form | {"arguments": form["arguments"] | {each.name: "context"}, "mask": None}
    return None


def _of_keys(keys: Sequence[str]) -> dict[str, object]:
    recipes: dict[str, object] = {}
    for key in keys:
        role = role_of(key)
        if role == "mask":
            recipes[key] = "kept"
        elif role in ("key", "value", "context"):
            recipes[key] = "context"
        elif role is not None and role in _RECIPES:
            recipes[key] = _RECIPES[role][0]
        else:
            recipes[key] = "hidden"
    return recipes


def _modules(
    parameters: Sequence[inspect.Parameter],
    roles: Mapping[str, str | None],
    inputs: Mapping[str, object],
    source: Source,
    sizes: Sizes,
    main: str | None,
) -> Iterator[Form]:
    said = _said(source, main, layouts.module_layout) if main else []
    # Without a word, channels stand last, or an image or a volume is given; `(L, B, C)` is told from `(B, L, C)` later.
    packed = any(is_required(each) and str(roles[each.name]).startswith("packed") for each in parameters)
    for layout in ["(BL)C"] if packed else said or ["BLC", "BCHW", "BHWC", "BCL", "BCTHW"]:
        base: Form = {
            "canonical": "module",
            "layout": layout,
            "said": bool(said),
            "out": layout,
            "pick": [],
            "mask": None,
            "required_mask": {"parameter": "", "convention": "bool keep", "shape": "BL"},
            "heads": sizes.heads,
            "rope": sizes.head_dim,
        }
        yield from _completed(base, parameters, roles, inputs, source, sizes)


def _said(source: Source, name: str, layout_of: Callable[[tuple[str, ...]], str | None]) -> list[str]:
    """Return the layouts that the documentation, or else the shapes unpacked in any branch, give for an argument."""
    axes = documented_axes(source, name)
    found = layout_of(axes) if axes else None
    if found:
        return [found]
    return list(dict.fromkeys(filter(None, map(layout_of, unpacked(source).get(name, [])))))


def _functions(
    parameters: Sequence[inspect.Parameter],
    roles: Mapping[str, str | None],
    triple: Sequence[str],
    source: Source,
    sizes: Sizes,
) -> Iterator[Form]:
    said = next(filter(None, (_said(source, name, layouts.function_layout) for name in triple)), [])
    causal = next((name for name, role in roles.items() if role == "causal"), None)
    inputs: dict[str, object] = dict(zip(triple, ("query", "key", "value"), strict=True))
    inputs |= {causal: "causal"} if causal else {}
    packed = any(is_required(each) and str(roles[each.name]).startswith("packed") for each in parameters)
    # Where the ends of the queries' sequences are given and not those of the keys, they are the same.
    uneven = not packed or "packed k" in roles.values()
    for layout in ["(BL)hD"] if packed else said or ["BhLD", "BLhD", "(Bh)LD", "BLC"]:
        base: Form = {
            "canonical": "function",
            "layout": layout,
            "said": bool(said),
            "out": layout,
            "pick": [],
            "mask": None,
            "required_mask": {"parameter": "", "convention": "bool keep", "shape": "B11L"},
            "heads": sizes.heads,
            "rope": sizes.head_dim,
            "uneven": uneven,
        }
        yield from _completed(base, parameters, roles, inputs, source, sizes)


def _completed(
    base: Form,
    parameters: Sequence[inspect.Parameter],
    roles: Mapping[str, str | None],
    inputs: Mapping[str, object],
    source: Source,
    sizes: Sizes,
) -> Iterator[Form]:
    """Yield the form with every other argument that a call must have, one of its recipes at a time."""
    arguments: dict[str, object] = dict(inputs)
    others: dict[str, tuple[object, ...]] = {}
    shapes: list[dict[str, str]] = []
    for each in parameters:
        role = roles[each.name]
        if each.name in inputs:
            continue
        if is_required(each):
            if role in ("mask", "context mask"):
                usual = masks.likeliest(source, each.name)
                others[each.name] = ({"const": None}, "kept")
                ranks = (
                    ("B11L", "BL", "B1LL", "BLL", "BHLL", "B1L")
                    if base["canonical"] == "module"
                    else ("B11L", "B1LL", "BL", "BLL")
                )
                shapes += [{"parameter": each.name, "convention": usual, "shape": shape} for shape in ranks]
            elif role == "owner" and base["canonical"] == "function":
                others[each.name] = ({"const": _owner(sizes)},)
            else:
                others[each.name] = _recipes(role, source) or _numbers(each.name, sizes) or _UNKNOWN
        elif (
            each.default is None
            and role in ("rope pair", "height", "width", "grid")
            and each.name not in ("h", "w", "size", "shape")
        ):
            # Left out where it can be, and given where the call reads it all the same.
            others[each.name] = ({"const": None}, *_recipes(role, source))
    arguments |= {name: recipes[0] for name, recipes in others.items()}
    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_ONLY]
    if not parameters:
        arguments, positional = {"hidden": "hidden"}, ["hidden"]
    filled = ", ".join(each.name for each in parameters if others.get(each.name) is _UNKNOWN)
    form = base | {"arguments": arguments, "positional": positional, "filled": filled}
    blocks = {each.name: {"const": WINDOW} for each in parameters if _is_block(each) or _is_window(each)}
    if base["canonical"] == "function" and blocks:
        # Inputs are short: with blocks of the usual size there would be one.
        yield form | {"arguments": arguments | blocks}
    yield form
    for name, recipes in others.items():
        for recipe in recipes[1:]:
            changed = form | {"arguments": arguments | {name: recipe}}
            if recipe == "kept":
                yield from (changed | {"required_mask": each} for each in shapes if each["parameter"] == name)
            else:
                yield changed
    pairs = [name for name in others if roles.get(name) in ("cos", "sin")]
    if len(pairs) == 2:
        for suffix in (" 4", " half"):
            yield form | {"arguments": arguments | {name: f"{roles[name]}{suffix}" for name in pairs}}
    for dim in (base["rope"] // 2, base["rope"] * 2):
        if any(str(recipe).startswith("rope") for recipe in arguments.values()):
            yield form | {"rope": dim}


def _recipes(role: str | None, source: Source) -> tuple[object, ...]:
    """Return the recipes of a role, complex tables last where no code names them: a cast would take their real part.

    Stacked tables come first where the code reads them: as many angles would be taken for cosines and sines.
    """
    found = _RECIPES.get(role or "", ())
    if role == "rope table":
        stacked = bool(_STACKED.search(source.code))
        return tuple(sorted(found, key=lambda recipe: (recipe == "rope stacked") != stacked))
    if role != "rope pair" or "complex" in source.code:
        return found
    return tuple(sorted(found, key=lambda recipe: str(recipe).startswith("rope complex")))


def _is_block(parameter: inspect.Parameter) -> bool:
    """Whether an argument may be left out and is a number of tokens that are computed at once."""
    size = parameter.default
    is_size = isinstance(size, int) and not isinstance(size, bool) and size > WINDOW
    return is_size and bool(_BLOCK.search(parameter.name.lower()))


def _is_window(parameter: inspect.Parameter) -> bool:
    """Whether an argument may be left out and is the width of a window that no short input reaches."""
    size = parameter.default
    is_size = isinstance(size, int) and not isinstance(size, bool) and size > WINDOW
    return is_size and parameter.name.lower() in WINDOWS


def _owner(sizes: Sizes) -> object:
    """Return what stands for the module that a function reads its settings from, in eval mode."""
    settings = {"training": False, "num_key_value_groups": 1, "head_dim": sizes.head_dim, "is_causal": False}
    return {"$settings": settings | {"scaling": sizes.head_dim**-0.5, "attention_dropout": 0.0, "dropout": 0.0}}


def _numbers(name: str, sizes: Sizes) -> tuple[object, ...]:
    """Return the recipes of a call's argument that is a number by its name: heads, sizes, scale, dropout."""
    if re.search("scale|scaling", name.lower()):
        return ({"const": sizes.head_dim**-0.5},)
    kind = conventions.kind_of(name, lengthy_block=False)
    if kind in ("embed", "heads", "kv_heads", "head_dim", "drop", "window"):
        return tuple({"const": value} for value in conventions.candidates(kind, sizes))
    return ()
