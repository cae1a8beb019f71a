"""Batches of the specs are drawn once, and what is handed out is as good as drawn anew."""

from collections.abc import Callable, Iterator

import pytest
import torch

from audit.probe import kept_batches

Make = Callable[[int, torch.Generator], object]


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    kept_batches._kept.clear()
    yield
    kept_batches._kept.clear()


def counted(value: Callable[[int, torch.Generator], object]) -> tuple[Make, list[int]]:
    calls: list[int] = []

    def make(batch_size: int, generator: torch.Generator) -> object:
        calls.append(batch_size)
        return value(batch_size, generator)

    return make, calls


def test_a_batch_is_drawn_once_for_each_size_and_seed() -> None:
    make, calls = counted(lambda n, g: {"x": torch.randn(n, 2, generator=g), "more": [3, "a", None]})
    batches = [kept_batches.batch(make, size, seed) for size, seed in ((2, 0), (2, 0), (3, 0), (2, 1))]
    assert calls == [2, 3, 2]
    first, again, _, other = (batch["x"] for batch in batches)  # type: ignore[index]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_is_written_into_a_batch_reaches_no_other() -> None:
    make, calls = counted(lambda n, g: {"x": torch.ones(n), "inner": {"y": [torch.ones(n)]}})
    for _ in range(3):
        batch = kept_batches.batch(make, 2, 0)
        assert float(batch["x"].sum() + batch["inner"]["y"][0].sum()) == 4  # type: ignore[index]
        batch["x"].zero_()  # type: ignore[index]
        batch["inner"]["y"][0].zero_()  # type: ignore[index]
        batch["inner"].clear()  # type: ignore[index]
    assert calls == [2]


WHOLE = torch.arange(12.0)
PART = torch.ones(3)


@pytest.mark.parametrize(
    "value",
    [
        {"x": torch.ones(2, 3).t()},
        {"x": torch.ones(1, 3).expand(2, 3)},
        {"x": WHOLE[:3]},
        {"x": PART, "y": PART},
        {"x": torch.ones(2, requires_grad=True)},
        {"x": torch.nn.Parameter(torch.ones(2))},
        {"x": torch.ones(2).to_sparse()},
        {"x": object()},
        {"x": {1, 2}},
        [torch.ones(2)],
    ],
    ids=["transposed", "expanded", "view", "shared", "leaf", "parameter", "sparse", "object", "set", "no dict"],
)
def test_what_a_copy_would_not_be_is_made_anew(value: object) -> None:
    make, calls = counted(lambda n, g: value)
    assert kept_batches.batch(make, 2, 0) is value
    assert kept_batches.batch(make, 2, 0) is value
    assert calls == [2, 2]


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_batches, "_MOST_BYTES", 100)
    make, calls = counted(lambda n, g: {"x": torch.ones(n)})
    for size in (10, 20, 10, 30):  # 40, 80, 40 and 120 bytes: the second displaces the first
        kept_batches.batch(make, size, 0)
    assert calls == [10, 20, 10, 30]
    assert [size for _, size in kept_batches._kept.values()] == [40]
