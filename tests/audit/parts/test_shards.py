from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import UsageError
from audit.parts.document import PlanDocument
from audit.parts.shards import groups_of_part, label_of, read_shard

MakePlan = Callable[..., PlanDocument]
GROUPS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), min_size=1, max_size=12)


def part(plan: PlanDocument, shard: tuple[int, int], needs: str | None) -> tuple[str, ...]:
    try:
        return groups_of_part(plan, shard=shard, needs=needs)
    except UsageError:  # that an empty part is refused has a test of its own
        return ()


@given(groups=GROUPS, count=st.integers(1, 15))
def test_shards_are_disjoint_and_together_everything(
    make_plan: MakePlan, groups: list[tuple[int, int]], count: int
) -> None:
    plan = make_plan(groups)
    shards = [part(plan, (index, count), None) for index in range(1, count + 1)]
    assert sorted(group for shard in shards for group in shard) == sorted(plan.groups)
    assert shards == [part(make_plan(groups), (index, count), None) for index in range(1, count + 1)]
    assert sum(map(bool, shards)) == min(count, len(groups))


@given(groups=GROUPS, count=st.integers(1, 5))
def test_what_needs_a_gpu_and_the_rest_are_together_everything(
    make_plan: MakePlan, groups: list[tuple[int, int]], count: int
) -> None:
    plan = make_plan(groups)
    shards = {
        needs: [group for index in range(1, count + 1) for group in part(plan, (index, count), needs)]
        for needs in ("cpu", "gpu")
    }
    assert sorted(shards["cpu"] + shards["gpu"]) == sorted(plan.groups)
    assert all(plan.gpus(group) > 0 for group in shards["gpu"])
    assert not any(plan.gpus(group) for group in shards["cpu"])


@given(groups=GROUPS, count=st.integers(1, 6))
def test_no_shard_has_more_than_its_share_and_one_group(
    make_plan: MakePlan, groups: list[tuple[int, int]], count: int
) -> None:
    plan = make_plan(groups)
    sizes = [sum(len(plan.groups[group]) for group in part(plan, (index + 1, count), None)) for index in range(count)]
    # Of dealing out to the smallest: when the largest got its last group, no other was smaller than it was.
    assert max(sizes) - min(sizes) <= max(number for number, _ in groups)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1/99999", " 1/2", "1/2\n"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="should be i/n"):
        read_shard(text)


def test_a_part_has_a_name() -> None:
    assert read_shard("2/3") == (2, 3)
    assert label_of(None, None) == "all groups"
    assert label_of((2, 3), "gpu") == "shard 2/3, needs gpu"


def test_a_part_with_nothing_in_it_is_refused(make_plan: MakePlan) -> None:
    with pytest.raises(UsageError, match=r"--shard 3/3: the part is empty, .* use at most 2 shards"):
        groups_of_part(make_plan([(1, 0), (1, 0)]), shard=(3, 3))
    with pytest.raises(UsageError, match="--needs gpu: the plan has no such check"):
        groups_of_part(make_plan([(1, 0)]), needs="gpu")
