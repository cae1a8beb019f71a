"""What a whole model is fed with, where no specs say it: recipes of tensors, from its first layers and its arguments.

A recipe is plain data: `{"draw": "normal", "shape": ["B", 12, 48]}`, `B` being the batch size; `whole` numbers below
`below`, `ones`, `positions`, `uniform`, `lengths` that are all `of` so many positions; or `{"const": value}`.
"""

import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from .conventions import Sizes
from .first_layers import first_layers
from .kinds import IMAGE, MASK, POSITIONS, SERIES, TIMES, VIDEO, WHOLE, kind_of_input, line_of
from .reading import read
from .roles import is_named, is_required, role_of

Recipe = dict[str, Any]
_LENGTHS = (12, 16, 64)  # no size of a layer among the first; powers of two for what halves its input
_SIDES = (32, 28, 64, 16, 224)  # of images: of the usual data sets, and of what is trained on ImageNet
_FRAMES = 8
_FIRST_LAYERS = 4
_MOST_TRIALS = 100
_ONE_EACH = {"y", "label", "labels", "class_labels", "classes"}  # of whole numbers, one for a sample
_NUMBERS: dict[type, object] = {bool: False, int: 2, float: 1.0}


def made(recipe: Recipe, batch_size: int, generator: torch.Generator) -> object:
    """Return what a recipe makes; every random number comes from the generator."""
    if "const" in recipe:
        return recipe["const"]
    shape = [batch_size if size == "B" else size for size in recipe["shape"]]
    match recipe["draw"]:
        case "whole":
            return torch.randint(recipe["below"], shape, generator=generator)
        case "ones":
            return torch.ones(shape, dtype=torch.bool if recipe.get("bool") else torch.float32)
        case "positions":
            return torch.arange(shape[-1]).expand(shape).clone()
        case "uniform":
            return torch.rand(shape, generator=generator)
        case "lengths":
            return torch.full(shape, recipe["of"])
    return torch.randn(shape, generator=generator)


def _normal(shape: Sequence[int]) -> Recipe:
    return {"draw": "normal", "shape": ["B", *map(int, shape)]}


_BY_KIND = {
    IMAGE: [_normal([channels, side, side]) for channels in (3, 1) for side in _SIDES],
    VIDEO: [_normal([channels, _FRAMES, side, side]) for channels in (3, 1) for side in (16, 32)],
    SERIES: [_normal([channels, length]) for channels in (3, 1) for length in (64, 16)] + [_normal([64])],
}


@dataclass(frozen=True)
class _Argument:
    """One argument of forward: its name, its kind, what its annotation says, and recipes for its first layer."""

    name: str
    kind: str | None
    annotation: object
    taken: Sequence[Recipe]


def feeds_of(model: nn.Module, parameters: Sequence[inspect.Parameter], sizes: Sizes) -> Iterator[dict[str, Recipe]]:
    """Yield recipes for the arguments of forward, the likeliest first: those that it must be given, else its first."""
    named = [each for each in parameters if is_named(each)]
    wanted = [each for each in named if is_required(each)] or named[:1]
    if not wanted:
        return
    layers = first_layers(model)
    lines = read(type(model)).documentation.splitlines()
    arguments = [
        _Argument(
            each.name,
            kind_of_input(each.name, f"{each.annotation} {line_of(each.name, lines)}"),
            each.annotation,
            _taken_by(layers[each.name]) if each.name in layers else [],
        )
        for each in wanted
    ]
    # What the others are as long as: some models are given the time or a mask before it.
    first = next((each for each in arguments if each.kind not in (TIMES, MASK, POSITIONS)), arguments[0])
    others = [each for each in arguments if each is not first]
    yield from itertools.islice(_fed(model, first, others, sizes), _MOST_TRIALS)


def _fed(model: nn.Module, first: _Argument, others: Sequence[_Argument], sizes: Sizes) -> Iterator[dict[str, Recipe]]:
    usual = list(_inputs(model, first, sizes))
    for main in usual:
        yield {first.name: main} | {each.name: _of_other(each, main, usual)[0] for each in others}
    for main in usual[:8]:
        recipes = {each.name: _of_other(each, main, usual) for each in others}
        likeliest = {first.name: main} | {name: each[0] for name, each in recipes.items()}
        for name, each in recipes.items():
            yield from (likeliest | {name: recipe} for recipe in each[1:])
    # A first layer that takes patches of an image tells nothing of its channels and sides.
    for main in (each for recipes in _BY_KIND.values() for each in recipes if each not in usual):
        yield {first.name: main} | {each.name: _of_other(each, main, usual)[0] for each in others}


def _inputs(model: nn.Module, first: _Argument, sizes: Sizes) -> Iterator[Recipe]:
    """Yield recipes for an argument: what its layer takes, what the first layers take, then what has usual sizes."""
    found: list[Recipe] = []
    leaves = [each for each in model.modules() if not list(each.children()) and list(each.parameters(recurse=False))]
    for leaf in leaves[:_FIRST_LAYERS]:
        found += _taken_by(leaf)
    embeddings = [each.num_embeddings for each in model.modules() if isinstance(each, nn.Embedding | nn.EmbeddingBag)]
    tokens = [_whole([length], min(embeddings)) for length in _LENGTHS if embeddings]
    usual = [_normal([_LENGTHS[0], sizes.embed]), _normal([sizes.embed])]
    found = [*tokens, *found, *usual] if first.kind == WHOLE else [*found, *usual, *tokens]
    yield from _different([*first.taken, *_BY_KIND.get(first.kind or "", []), *found])


def _different(recipes: Sequence[Recipe]) -> list[Recipe]:
    seen: list[Recipe] = []
    for recipe in recipes:
        if recipe not in seen:
            seen.append(recipe)
    return seen


def _taken_by(leaf: nn.Module) -> list[Recipe]:
    """Return the recipes that a layer takes, were it the first."""
    match leaf:
        case nn.Embedding() | nn.EmbeddingBag():
            return [_whole([length], leaf.num_embeddings) for length in _LENGTHS] + [_whole([], leaf.num_embeddings)]
        case nn.Conv1d():
            return [_normal([leaf.in_channels, length]) for length in (64, 16)]
        case nn.Conv2d():
            return [_normal([leaf.in_channels, side, side]) for side in _SIDES]
        case nn.Conv3d():
            return [_normal([leaf.in_channels, _FRAMES, side, side]) for side in (16, 32)]
        case nn.Linear():
            flat = [_normal([leaf.in_features])]
            images = [
                _normal([channels, side, side])
                for side in _SIDES
                for channels in (1, 3)
                if channels * side * side == leaf.in_features
            ]
            # What takes one number may be given a series of them, to which the model adds the axis of channels.
            series = [_normal([_LENGTHS[0]])] if leaf.in_features == 1 else []
            return [_normal([length, leaf.in_features]) for length in _LENGTHS[:1]] + series + flat + images
        case nn.RNNBase():
            return [_normal([_LENGTHS[0], leaf.input_size])]
        case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.BatchNorm3d():
            sides = {nn.BatchNorm1d: [], nn.BatchNorm2d: [16, 16], nn.BatchNorm3d: [8, 16, 16]}
            return [_normal([leaf.num_features, *next(v for k, v in sides.items() if isinstance(leaf, k))])]
        case nn.LayerNorm():
            return [_normal([_LENGTHS[0], *leaf.normalized_shape]), _normal([*leaf.normalized_shape])]
    return []


def _of_other(other: _Argument, main: Recipe, usual: Sequence[Recipe]) -> list[Recipe]:
    """Return the recipes of a further argument: by its name, by its layer, else those of the first."""
    # Of an image the second axis holds channels.
    length = main["shape"][1] if 1 < len(main["shape"]) < 4 else _LENGTHS[0]
    match role_of(other.name):
        case "causal":
            return [{"const": False}]
        case "lengths":
            return [{"const": None}, {"draw": "lengths", "shape": ["B"], "of": length}]
    if other.kind == MASK:
        ones: Recipe = {"draw": "ones", "shape": ["B", length]}
        pairs = ones | {"shape": ["B", length, length]}
        for_heads = [ones | {"bool": True, "shape": ["B", *[1] * axes, length]} for axes in (1, 2)]
        found = [ones | {"bool": True}, ones, pairs, *for_heads, {"const": None}]
        # A number for each node of a graph would be taken for those of the pairs of one node.
        return _different([pairs, *found]) if other.name.lower().startswith("adj") else found
    if other.kind == POSITIONS:
        return [{"draw": "positions", "shape": ["B", length]}, {"const": None}]
    numbers = [each for each in other.taken if each["draw"] != "whole"]
    below = next((each["below"] for each in other.taken if each["draw"] == "whole"), None)
    if other.kind == TIMES:
        uniform = {"draw": "uniform", "shape": ["B"]}
        floats = [uniform, _whole([], 10), uniform | {"shape": ["B", 1]}, main]
        return _different([*([_whole([], below)] if below else []), *floats])
    if other.kind == WHOLE or below:
        wholes = [_whole([], below or 2), _whole([length], below or 2)]
        return [*(wholes if other.name.lower() in _ONE_EACH else reversed(wholes)), *numbers, main]
    constants = [{"const": value} for kind, value in _NUMBERS.items() if other.annotation in (kind, kind.__name__)]
    numbers += _BY_KIND.get(other.kind or "", [])
    return _different([*constants, *numbers, main, _normal([]), _normal([1]), *usual, {"const": None}])


def _whole(shape: Sequence[int], below: int) -> Recipe:
    return {"draw": "whole", "shape": ["B", *shape], "below": int(below)}


def inputs_by(feed: Mapping[str, object], batch_size: int, generator: torch.Generator) -> dict[str, object]:
    """Return the arguments of forward that the recipes make."""
    return {name: made(cast(Recipe, recipe), batch_size, generator) for name, recipe in feed.items()}


def shown(feed: Mapping[str, object]) -> str:
    """Return the arguments as a reader would write them: `x=normal float32 (B, 12, 48)`."""
    return ", ".join(f"{name}={_shown(cast(Recipe, recipe))}" for name, recipe in feed.items())


def _shown(recipe: Recipe) -> str:
    if "const" in recipe:
        return repr(recipe["const"])
    shape = ", ".join(map(str, recipe["shape"])) + ("," if len(recipe["shape"]) == 1 else "")
    below = f" below {recipe['below']}" if "below" in recipe else ""
    return f"{recipe['draw']}{below} {dtype_of(recipe)} ({shape})"


def dtype_of(recipe: Recipe) -> str:
    """Return the name of the dtype of what a recipe makes."""
    if recipe["draw"] in ("whole", "positions", "lengths"):
        return "int64"
    return "bool" if recipe.get("bool") else "float32"
