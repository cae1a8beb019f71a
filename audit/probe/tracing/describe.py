"""One attention as plain data: what was measured, and None wherever it could not be."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from .cores import Core, Fused
from .ends import Ends
from .graph import LOG_SOFTMAX, SOFTMAX, base
from .influence import NOBODY, Owners
from .recording import RANDOM, Frame, Node
from .scales import Scale, steps_of

_MOST_FRAMES = 12
_MOST_WEIGHTS = 20_000
_LIBRARIES = ("flash_attn", "flash_attn_interface", "xformers", "sageattention", "natten")


@dataclass(frozen=True)
class Found:
    """An attention with everything that was measured of it."""

    node: Node
    backend: str
    scale: Scale
    ends: Ends | None
    owners: Mapping[str, Owners] | None
    core: Core | None = None
    fused: Fused | None = None
    is_native: bool = False


def described(found: Found, grouping: Mapping[str, torch.Tensor] | None) -> dict[str, object]:
    """Return the description of one attention."""
    ends, owners, scale = found.ends, found.owners, found.scale
    head_dim = ends.head_dim if ends else None
    factor = scale.effective
    frames = found.node.frames or (found.core.scores.node.frames if found.core else ())
    names = ends is not None and owners is not None
    keys = _key_count(ends) if ends else None
    assert ends is not None or not names
    return {
        "owner": next((frame.owner for frame in frames if frame.owner is not None), None),
        "frames": [[frame.path, frame.line] for frame in frames[:_MOST_FRAMES]],
        "backend": _backend(found, frames),
        "head_dim": head_dim,
        "scale": factor,
        "scale_ratio": factor * head_dim**0.5 if factor is not None and head_dim else None,
        "scale_why": scale.why,
        "scale_residual": scale.residual,
        "normalised": scale.normalised,
        "rotated": scale.rotated,
        "learned_scale": scale.learned,
        "factors": list(scale.factors),
        "soft_cap": scale.soft_cap,
        "biased": scale.biased,
        "steps": list(steps_of(found.core)) if found.core else [],
        "softmax_axis": _softmax_axis(ends, owners),
        "renormalised": bool(found.core and _is_renormalised(found.core)),
        "softmaxes": _softmaxes(found.core),
        "chosen_between": bool(found.core and _chosen_between(found.core)),
        "logits_dtype": _dtype(found),
        "softmax_dtype": _softmax_dtype(found),
        "heads": _heads(owners["query"]) if owners else None,
        "kv_heads": _kv_heads(ends, owners) if ends and owners else None,
        "met": _met(ends, owners, grouping, "key"),
        "value_met": _met(ends, owners, grouping, "value"),
        "keys": keys,
        "attended": _attended(ends, owners),
        "dropout": _dropout(found),
        "weights": _weights(ends, owners, grouping),
    }


def _backend(found: Found, frames: tuple[Frame, ...]) -> str:
    for frame in frames:
        top = frame.module.partition(".")[0]
        if top in _LIBRARIES:
            return top
    return found.backend


def _dtype(found: Found) -> str | None:
    if found.core is not None:
        return str(found.core.logits.tensor.dtype).removeprefix("torch.")
    return str(found.node.inputs[0].tensor.dtype).removeprefix("torch.") if found.node.inputs else None


def _softmax_dtype(found: Found) -> str | None:
    """Return the narrowest dtype that the logits had between the scores and the weights; None inside one operation."""
    if found.core is None:
        return None
    return str(found.core.softmax.outputs[0].tensor.dtype).removeprefix("torch.")


def _softmaxes(core: Core | None) -> int | None:
    if core is None:
        return 1
    after = [step.node for step in core.after if step.node.name in SOFTMAX]
    return 1 + len(after)


def _chosen_between(core: Core) -> bool:
    """Whether weights are chosen or masked between two softmaxes, the axes differ, or the first is a logarithm."""
    last = max((at for at, step in enumerate(core.after) if step.node.name in SOFTMAX), default=-1)
    names = {base(step.node) for step in core.after[:last] if last >= 0}
    axes = {step.node.args[1] for step in core.after if step.node.name in SOFTMAX and len(step.node.args) > 1}
    axes |= {core.softmax.args[1]} if not core.by_hand and len(core.softmax.args) > 1 else set()
    changed = names & {"topk", "gather", "scatter", "masked_fill", "where", "index", "mul", "div", "log", "add", "sub"}
    return bool(changed) or len(axes) > 1 or core.softmax.name in LOG_SOFTMAX


def _is_renormalised(core: Core) -> bool:
    return not core.by_hand and any(base(step.node) in ("div", "linalg_vector_norm") for step in core.after)


def _softmax_axis(ends: Ends | None, owners: Mapping[str, Owners] | None) -> str | None:
    if ends is None:
        return None
    if ends.along_key and not ends.along_query:
        return "keys"
    if ends.along_query and not ends.along_key:
        return "queries"
    if not ends.along_query or ends.logits is None:
        return None
    if owners is None:
        return "several"
    batch = _along(owners["query"].batch, ends.logits[0])
    position = _along(owners["query"].position, ends.logits[0])
    if batch is None or position is None:
        return "several"
    return "batch" if batch else "queries and keys" if position else "heads"


def _along(owner: torch.Tensor, lines: torch.Tensor) -> bool | None:
    """Return whether the owner changes along a line of rows; None where some row has none."""
    known = lines >= 0
    owned = owner[lines.clamp_min(0)]
    if bool(((owned == NOBODY) & known).any()):
        return None
    first = torch.where(known, owned, torch.iinfo(owned.dtype).max).amin(dim=1, keepdim=True)
    return bool(((owned != first) & known).any())


def _key_count(ends: Ends) -> int | None:
    """Return how many keys the queries meet: the largest number."""
    if not ends.pairs.query.numel():
        return None
    return int(ends.pairs.query.bincount().max())


def _heads(owners: Owners) -> int | None:
    """Return how many rows of the queries belong to one position of one sample."""
    known = (owners.batch != NOBODY) & (owners.position != NOBODY)
    if not bool(known.any()):
        return None
    pairs = Counter(zip(owners.batch[known].tolist(), owners.position[known].tolist(), strict=True))
    return Counter(pairs.values()).most_common(1)[0][0]


def _kv_heads(ends: Ends, owners: Mapping[str, Owners]) -> int | None:
    """Return how many different rows of the keys belong to one position of one sample."""
    owner = owners["key"]
    known = ((owner.batch != NOBODY) & (owner.position != NOBODY)).nonzero()[:, 0]
    if not len(known):
        return None
    numbers = ends.key.numbers.to(torch.float64)
    groups: dict[tuple[int, int], list[int]] = {}
    for row in known.tolist():
        groups.setdefault((int(owner.batch[row]), int(owner.position[row])), []).append(row)
    counts = Counter(len(torch.unique(numbers[rows], dim=0)) for rows in groups.values())
    return counts.most_common(1)[0][0]


def _met(
    ends: Ends | None,
    owners: Mapping[str, Owners] | None,
    blocks: Mapping[str, torch.Tensor] | None,
    side: str,
) -> list[list[int]] | None:
    """Return which query head meets which key head, both numbered in the order of their features."""
    if ends is None or owners is None:
        return None
    rows = ends.pairs.key if side == "key" else ends.pairs.value
    if rows is None or side not in owners:
        return None
    query_head, key_head = owners["query"].head, owners[side].head
    if bool((query_head == NOBODY).all()):
        if blocks is None or side not in blocks:
            return None
        query_head, key_head = blocks["query"], blocks[side]
    left, right = query_head[ends.pairs.query], key_head[rows]
    known = (left != NOBODY) & (right != NOBODY)
    met = sorted(set(zip(left[known].tolist(), right[known].tolist(), strict=True)))
    return [[int(head), int(group)] for head, group in met] or None


def _attended(ends: Ends | None, owners: Mapping[str, Owners] | None) -> str | None:
    """Return over what the keys of one query extend."""
    if ends is None or owners is None:
        return None
    if _key_count(ends) == 1:
        return "one key"
    used = ends.pairs.weight != 0
    if not bool(used.any()):
        return None
    owner = owners["key"]
    batch = _spread(ends.pairs.query[used], owner.batch[ends.pairs.key[used]])
    position = _spread(ends.pairs.query[used], owner.position[ends.pairs.key[used]])
    rows = _spread(ends.pairs.query[used], ends.pairs.key[used])
    if batch:
        return "positions and batch" if position else "batch"
    if position:
        return "positions"
    known = owner.position[ends.pairs.key[used]] != NOBODY
    return "heads" if rows and bool(known.all()) and owner.positions > 1 else None


def _spread(groups: torch.Tensor, owner: torch.Tensor) -> bool:
    """Whether any group holds two different owners; not where most have none, as rows that are features have."""
    known = owner != NOBODY
    if 2 * int(known.sum()) < len(owner):
        return False
    groups, owner = groups[known], owner[known]
    if not groups.numel():
        return False
    count = int(groups.max()) + 1
    low = torch.full((count,), torch.iinfo(owner.dtype).max).scatter_reduce(0, groups, owner, "amin")
    high = torch.full((count,), -1).scatter_reduce(0, groups, owner, "amax")
    return bool((high > low).any())


def _dropout(found: Found) -> float:
    """Return the share of weights that are dropped between softmax and values."""
    if found.fused is not None:
        return found.fused.dropout
    rates = [0.0]
    for step in found.core.after if found.core else ():
        rates += [_rate(node) for node in (step.node, *_makers(step.node))]
    return max(rates)


def _makers(node: Node) -> list[Node]:
    found = []
    for value in node.inputs:
        here = value.node
        for _ in range(4):
            if here is None:
                break
            found.append(here)
            here = here.inputs[0].node if here.inputs else None
    return [each for each in found if base(each) in RANDOM or each.name in RANDOM]


def _rate(node: Node) -> float:
    if node.name == "native_dropout":
        return float(node.args[1]) if len(node.args) > 1 and isinstance(node.args[1], float) else 0.0
    if base(node) == "bernoulli":
        keep = next((arg for arg in node.args[1:] if isinstance(arg, float)), None)
        return 0.0 if keep is None else 1.0 - keep
    return 0.0


def _weights(
    ends: Ends | None, owners: Mapping[str, Owners] | None, blocks: Mapping[str, torch.Tensor] | None
) -> list[list[list[float]]] | None:
    """Return the weights of the first sample that has any, (heads, queries, keys), by the positions they belong to."""
    if ends is None or owners is None:
        return None
    query, key = owners["query"], owners["key"]
    if not query.positions or not key.positions:
        return None
    heads = _head_numbers(query, blocks)
    if heads is None:
        return None
    rows, keys = ends.pairs.query, ends.pairs.key
    sample = (query.batch[rows] == 0) & (query.position[rows] != NOBODY) & (key.position[keys] != NOBODY)
    count = int(heads.max()) + 1
    if not bool(sample.any()) or count * query.positions * key.positions > _MOST_WEIGHTS:
        return None
    table = torch.zeros(count, query.positions, key.positions, dtype=torch.float64)
    at = (heads[rows[sample]], query.position[rows[sample]], key.position[keys[sample]])
    table.index_put_(at, ends.pairs.weight[sample], accumulate=True)
    found = table.nan_to_num(0.0).tolist()
    assert isinstance(found, list)
    return found


def _head_numbers(query: Owners, blocks: Mapping[str, torch.Tensor] | None) -> torch.Tensor | None:
    """Return the number of each row's head; by the order of rows where heads were not told apart."""
    if bool((query.head != NOBODY).all()):
        return query.head
    if blocks is not None and bool((blocks["query"] != NOBODY).all()):
        ranks = torch.unique(blocks["query"], return_inverse=True)[1]
        assert isinstance(ranks, torch.Tensor)
        return ranks
    seen: Counter[tuple[int, int]] = Counter()
    numbers = []
    for pair in zip(query.batch.tolist(), query.position.tolist(), strict=True):
        numbers.append(seen[pair])
        seen[pair] += 1
    return torch.tensor(numbers) if numbers else None
