"""Which groups of a plan belong to a part of it."""

import re
from collections.abc import Sequence

from audit.errors import UsageError
from audit.parts.document import PlanDocument

_SHARD = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})")


def read_shard(text: str) -> tuple[int, int]:
    """Return number and count of `i/n`.

    Raises:
        UsageError: it is no such pair, or i is not one of 1 to n.
    """
    found = _SHARD.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise UsageError(f"--shard {text}: should be i/n with i from 1 to n, such as 1/4")
    return int(found[1]), int(found[2])


def groups_of_part(
    plan: PlanDocument, *, shard: tuple[int, int] | None = None, needs: str | None = None
) -> tuple[str, ...]:
    """Return the ids of a part's groups, in the plan's order.

    `needs` is `gpu` for those with a check that needs one, `cpu` for the others, None for all. The parts of one plan
    with the same `needs` and the same count are disjoint and together everything that `needs` takes. Whoever has the
    plan gets the same part: nothing but the plan decides.

    Raises:
        UsageError: the part is empty.
    """
    wanted = [name for name in plan.groups if needs is None or (plan.gpus(name) > 0) == (needs == "gpu")]
    if not wanted:
        raise UsageError(f"--needs {needs}: the plan has no such check")
    if shard is None:
        return tuple(wanted)
    index, count = shard
    chosen = set(_shares(plan, wanted, count)[index - 1])
    if not chosen:
        raise UsageError(
            f"--shard {index}/{count}: the part is empty, for there are {len(wanted)} groups of checks that belong "
            f"together; use at most {len(wanted)} shards"
        )
    return tuple(name for name in wanted if name in chosen)


def label_of(shard: tuple[int, int] | None, needs: str | None) -> str:
    """Return the part in words."""
    words = [f"shard {shard[0]}/{shard[1]}"] if shard else []
    words += [f"needs {needs}"] if needs else []
    return ", ".join(words) or "all groups"


def _shares(plan: PlanDocument, names: Sequence[str], count: int) -> list[list[str]]:
    """Deal out groups, the largest first, each to the share with the fewest checks so far."""
    shares: list[list[str]] = [[] for _ in range(count)]
    sizes = [0] * count
    for name in sorted(names, key=lambda name: (-len(plan.groups[name]), name)):
        smallest = sizes.index(min(sizes))
        shares[smallest].append(name)
        sizes[smallest] += len(plan.groups[name])
    return shares
