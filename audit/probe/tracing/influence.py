"""Which sample, position and head a row belongs to, measured: change one of them in the input and see what moves.

Needs no knowledge of the operations in between. Where several change a row, it belongs to the one that does so most.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from ..devices import CPU
from .ends import End, Ends
from .graph import ways_back
from .recording import Capturing, Edit, Node

Leaves = Mapping[str, torch.Tensor | None]
Rerun = Callable[[Leaves, Capturing], None]
BATCH, POSITION, HEAD = "batch", "position", "head"
_AXES = {3: (BATCH, POSITION), 4: (BATCH, HEAD, POSITION)}
_MOVED = 1e-5  # relative; less is rounding
_CLEAR = 0.5  # the second largest influence is at most this share of the largest
_MOST_BLOCKS = 96
NOBODY = -1


@dataclass(frozen=True)
class Owners:
    """For each row the sample, position and head that it belongs to, `NOBODY` where that is not clear."""

    batch: torch.Tensor
    position: torch.Tensor
    head: torch.Tensor
    positions: int  # how many the tensor has that these are positions of


@dataclass(frozen=True)
class Variant:
    """The inputs with one slice of one tensor drawn anew."""

    leaf: str
    axis: str
    index: int
    leaves: Leaves


def variants(leaves: Leaves, generator: torch.Generator) -> Iterator[Variant]:
    """Yield every change of one sample, position or head of one input; keys and values change together."""
    groups = [("query",), ("key", "value"), ("hidden_states",), ("context",)]
    for group in groups:
        present = [leaves[name] for name in group if isinstance(leaves.get(name), torch.Tensor)]
        tensors = [x for x in present if x is not None and x.is_floating_point() and x.ndim in _AXES]
        if not tensors or len(tensors) != len(group):
            continue
        first = tensors[0]
        for dim, axis in enumerate(_AXES[first.ndim]):
            for index in range(first.shape[dim]):
                changed = {name: _drawn(leaves[name], dim, index, generator) for name in group}
                yield Variant(group[0], axis, index, {**leaves, **changed})


def _drawn(tensor: torch.Tensor | None, dim: int, index: int, generator: torch.Generator) -> torch.Tensor:
    assert tensor is not None
    result = tensor.detach().clone()
    part = result.select(dim, index)
    drawn = torch.randn(part.shape, generator=generator, dtype=torch.float64, device=CPU)
    part.copy_(drawn.to(part.dtype) * 2)
    return result


def owners(
    leaves: Leaves, ends: Sequence[Ends], rerun: Rerun, generator: torch.Generator
) -> list[dict[str, Owners]] | None:
    """Return for each attention the owners of its queries, keys and values; None where a rerun took another course."""
    named = [_named(each) for each in ends]
    wanted = {end.node.index for each in named for end in each.values()}
    influence: list[dict[str, dict[tuple[str, str], list[torch.Tensor]]]] = [
        {key: {} for key in each} for each in named
    ]
    before = [{key: end.numbers.to(torch.float64) for key, end in each.items()} for each in named]
    for variant in variants(leaves, generator):
        mode = Capturing(wanted)
        rerun(variant.leaves, mode)
        for index, each in enumerate(named):
            for key, end in each.items():
                moved = _change(end, before[index][key], mode)
                if moved is None:
                    return None
                influence[index][key].setdefault((variant.leaf, variant.axis), []).append(moved)
    return [
        {key: _owners(found, len(before[index][key])) for key, found in each.items()}
        for index, each in enumerate(influence)
    ]


def _named(ends: Ends) -> dict[str, End]:
    found = {"query": ends.query, "key": ends.key}
    return found if ends.value is None else {**found, "value": ends.value}


def _change(end: End, before: torch.Tensor, mode: Capturing) -> torch.Tensor | None:
    captured = mode.found.get(end.node.index)
    if captured is None or end.at >= len(captured) or captured[end.at].shape != end.value.shape:
        return None
    after = end.rows(captured[end.at]).to(torch.float64)
    length = torch.linalg.vector_norm(before.nan_to_num(), dim=1)
    change = torch.linalg.vector_norm((after - before).nan_to_num(), dim=1)
    relative = change / length.clamp_min(float(length.mean()) * 1e-3 + 1e-30)
    assert isinstance(relative, torch.Tensor)
    return relative


def _owners(found: Mapping[tuple[str, str], list[torch.Tensor]], rows: int) -> Owners:
    nobody = torch.full((rows,), NOBODY)
    by_axis: dict[str, torch.Tensor] = {}
    positions = 0
    for axis in (BATCH, POSITION, HEAD):
        # Of several inputs, the one that moves the rows most is where they come from.
        candidates = {leaf: torch.stack(each) for (leaf, named), each in found.items() if named == axis}
        if not candidates:
            continue
        influence = max(candidates.values(), key=lambda each: float(each.sum()))
        by_axis[axis] = _most(influence)
        if axis == POSITION:
            positions = len(influence)
    return Owners(
        batch=by_axis.get(BATCH, nobody),
        position=by_axis.get(POSITION, nobody),
        head=by_axis.get(HEAD, nobody),
        positions=positions,
    )


def _most(influence: torch.Tensor) -> torch.Tensor:
    """Return by column which row of an influence (number of slices, rows) is largest, where that is clear."""
    if len(influence) == 1:
        return torch.where(influence[0] > _MOVED, 0, NOBODY)
    top = influence.topk(2, dim=0)
    clear = (top.values[0] > _MOVED) & (top.values[1] <= _CLEAR * top.values[0])
    return torch.where(clear, top.indices[0], NOBODY)


def projection_of(end: End) -> Node | None:
    """Return the operation that projected an operand: the nearest product with a weight before it."""
    for value, _ in ways_back(end.value):
        if value.node is not None and value.node.name in ("mm", "addmm") and value.of_input:
            return value.node
    return None


def blocks(leaves: Leaves, ends: Ends, rerun: Rerun, generator: torch.Generator) -> dict[str, torch.Tensor] | None:
    """Return which block of its projection's features, each one head wide, every row of queries, keys, values is of.

    Blocks are counted in the order in which they lie in the projection, which may be one for all three.
    """
    named = _named(ends)
    sources = {key: projection_of(end) for key, end in named.items()}
    if any(node is None for node in sources.values()):
        return None
    wanted = {end.node.index for end in named.values()}
    found: dict[str, torch.Tensor] = {}
    before = {key: end.numbers.to(torch.float64) for key, end in named.items()}
    moved: dict[tuple[int, str], list[torch.Tensor]] = {}
    for node in {node.index: node for node in sources.values() if node is not None}.values():
        width = node.outputs[0].shape[-1]
        if width % ends.head_dim or width // ends.head_dim > _MOST_BLOCKS:
            return None
        for block in range(width // ends.head_dim):
            cut = slice(block * ends.head_dim, (block + 1) * ends.head_dim)
            mode = Capturing(wanted, {node.index: _redrawn(cut, generator)})
            rerun(leaves, mode)
            for key, end in named.items():
                change = _change(end, before[key], mode)
                if change is None:
                    return None
                moved.setdefault((node.index, key), []).append(change)
    for key, node_ in sources.items():
        assert node_ is not None
        found[key] = _most(torch.stack(moved[node_.index, key]))
    return found


def _redrawn(cut: slice, generator: torch.Generator) -> Edit:
    def edit(tensor: torch.Tensor) -> None:
        part = tensor[..., cut]
        drawn = torch.randn(part.shape, generator=generator, dtype=torch.float64, device=CPU)
        part.copy_((drawn * 3).to(part.dtype))

    return edit
