"""What a whole model is fed with, where no specs say it: recipes of tensors, from its first layers and its arguments.

A recipe is plain data: `{"draw": "normal", "shape": ["B", 12, 48]}`, `B` being the batch size; `whole` numbers below
`below`, `ones`, `positions`, `uniform`; or `{"const": value}`.
"""

import inspect
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from .conventions import Sizes
from .roles import is_named, is_required, role_of

Recipe = dict[str, Any]
_LENGTHS = (12, 16, 64)  # no size of a layer among the first; powers of two for what halves its input
_SIDES = (32, 28, 64, 16, 224)  # of images: of the usual data sets, and of what is trained on ImageNet
_FRAMES = 8
_FIRST_LAYERS = 4
_MOST_TRIALS = 80
_TIMES = re.compile(r"^(t|ts|time|times|timesteps?|steps?|sigmas?|noise_levels?|noise)$")
_WHOLE = re.compile(r"^(input_ids|(src|tgt)?_?tokens?|token_ids|ids|idx|indices|labels?|classes|y|.*_ids)$")


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
    return torch.randn(shape, generator=generator)


def feeds_of(model: nn.Module, parameters: Sequence[inspect.Parameter], sizes: Sizes) -> Iterator[dict[str, Recipe]]:
    """Yield recipes for the arguments of forward, the likeliest first: those that it must be given, else its first."""
    named = [each for each in parameters if is_named(each)]
    wanted = [each for each in named if is_required(each)] or named[:1]
    if not wanted:
        return
    first = wanted[0]
    yield from itertools.islice(_fed(model, first, wanted[1:], sizes), _MOST_TRIALS)


def _fed(
    model: nn.Module, first: inspect.Parameter, others: Sequence[inspect.Parameter], sizes: Sizes
) -> Iterator[dict[str, Recipe]]:
    usual = list(_inputs(model, first.name, sizes))
    for main in usual:
        length = main["shape"][1] if len(main["shape"]) > 1 else _LENGTHS[0]
        each = {other.name: _of_other(other.name, length, main, usual) for other in others}
        yield {first.name: main} | {name: recipes[0] for name, recipes in each.items()}
    for main in usual[:8]:
        length = main["shape"][1] if len(main["shape"]) > 1 else _LENGTHS[0]
        each = {other.name: _of_other(other.name, length, main, usual) for other in others}
        likeliest = {first.name: main} | {name: recipes[0] for name, recipes in each.items()}
        for name, recipes in each.items():
            yield from (likeliest | {name: recipe} for recipe in recipes[1:])


def _inputs(model: nn.Module, name: str, sizes: Sizes) -> Iterator[Recipe]:
    """Yield recipes for the first argument: what the first layers take, then what has the usual sizes."""
    found: list[Recipe] = []
    leaves = [each for each in model.modules() if not list(each.children()) and list(each.parameters(recurse=False))]
    for leaf in leaves[:_FIRST_LAYERS]:
        found += _taken_by(leaf)
    by_name = _WHOLE.match(name.lower()) is not None
    embeddings = [each.num_embeddings for each in model.modules() if isinstance(each, nn.Embedding)]
    tokens = [_whole([length], min(embeddings)) for length in _LENGTHS if embeddings]
    usual = [_normal([_LENGTHS[0], sizes.embed]), _normal([sizes.embed])]
    found = [*tokens, *found, *usual] if by_name else [*found, *usual, *tokens]
    seen: list[Recipe] = []
    for recipe in found:
        if recipe not in seen:
            seen.append(recipe)
            yield recipe


def _taken_by(leaf: nn.Module) -> list[Recipe]:
    """Return the recipes that a layer takes, were it the first."""
    match leaf:
        case nn.Embedding():
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


def _of_other(name: str, length: int, main: Recipe, usual: Sequence[Recipe]) -> list[Recipe]:
    """Return the recipes of a further argument, by its name; else those of the first."""
    lower = name.lower()
    match role_of(name):
        case "mask" | "context mask":
            ones = {"draw": "ones", "shape": ["B", length]}
            return [ones | {"bool": True}, ones, {"const": None}]
        case "positions":
            return [{"draw": "positions", "shape": ["B", length]}, {"const": None}]
        case "causal":
            return [{"const": False}]
        case "lengths":
            return [{"const": None}]
    if _TIMES.match(lower):
        uniform = {"draw": "uniform", "shape": ["B"]}
        return [uniform, _whole([], 10), uniform | {"shape": ["B", 1]}, main]
    if _WHOLE.match(lower):
        return [_whole([], 2), _whole([length], 2), main]
    return [main, _normal([]), _normal([1]), *(each for each in usual if each != main), {"const": None}]


def _normal(shape: Sequence[int]) -> Recipe:
    return {"draw": "normal", "shape": ["B", *map(int, shape)]}


def _whole(shape: Sequence[int], below: int) -> Recipe:
    return {"draw": "whole", "shape": ["B", *shape], "below": int(below)}


def inputs_by(feed: Mapping[str, object], batch_size: int, generator: torch.Generator) -> dict[str, object]:
    """Return the arguments of forward that the recipes make."""
    return {name: made(cast(Recipe, recipe), batch_size, generator) for name, recipe in feed.items()}


def shown(feed: Mapping[str, object]) -> str:
    """Return the arguments as a reader would write them: `x=normal (B, 12, 48)`."""
    return ", ".join(f"{name}={_shown(cast(Recipe, recipe))}" for name, recipe in feed.items())


def _shown(recipe: Recipe) -> str:
    if "const" in recipe:
        return repr(recipe["const"])
    shape = ", ".join(map(str, recipe["shape"])) + ("," if len(recipe["shape"]) == 1 else "")
    below = f" below {recipe['below']}" if "below" in recipe else ""
    return f"{recipe['draw']}{below} ({shape})"
