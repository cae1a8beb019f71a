import pytest
import torch
from torch import Tensor, nn

from astrobio.data.habitability import make_habitability_dataset
from astrobio.training.tasks import create_task
from astrobio.training.tasks import habitability as module
from astrobio.training.tasks.habitability import HabitabilityTask
from astrobio.training.trainer import fit


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> HabitabilityTask:
    """The task with fewer planets, which are what takes time."""
    monkeypatch.setattr(module, "_NUM_TRAINING", {"base": 60, "fast": 60})
    monkeypatch.setattr(module, "_NUM_HELD_OUT", 120)
    task = create_task("habitability", "fast", seed=1)
    assert isinstance(task, HabitabilityTask)
    return task


def test_no_planet_is_both_trained_on_and_held_out(task: HabitabilityTask) -> None:
    training, held_out = task.datasets
    assert [len(training), len(held_out)] == [60, 120]
    climates = [{tuple(row) for row in part.parameters.tolist()} for part in (training, held_out)]
    networks = [{each.digest for each in part.networks} for part in (training, held_out)]
    assert not climates[0] & climates[1]
    assert not networks[0] & networks[1]


def test_a_batch_depends_on_seed_and_step_alone(task: HabitabilityTask) -> None:
    first, again, next_one = task.batch(3, 4), task.batch(3, 4), task.batch(4, 4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["depth"], next_one["depth"])


class Answers(nn.Module):
    """Knows some conditions of the held-out planets, in their order, and says yes where those hold."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.known = known
        self.seen = 0

    def forward(self, **inputs: Tensor) -> Tensor:
        assert "is_habitable" not in inputs
        rows = self.known[self.seen : self.seen + len(inputs["depth"])]
        self.seen += len(rows)
        return rows.all(dim=1).double() - 0.5


@torch.no_grad()
def test_the_score_of_one_who_knows_and_of_one_who_leaves_something_out(task: HabitabilityTask) -> None:
    conditions = task.datasets[1].conditions
    perfect = task.evaluate(Answers(conditions))
    assert perfect["accuracy"] == perfect["auc"] == perfect["accuracy_water"] == 1.0
    dry = task.evaluate(Answers(conditions[:, [0, 2]]))
    assert dry["accuracy"] < 0.95
    assert dry["accuracy_climate"] == dry["accuracy_metabolism"] == 1.0
    assert dry["accuracy_water"] < 0.9


@torch.no_grad()
def test_the_baseline_is_the_more_frequent_answer(task: HabitabilityTask) -> None:
    figures = task.evaluate(Answers(task.datasets[1].conditions))
    share = float(make_habitability_dataset(180, 1).is_habitable[60:].double().mean())
    assert figures["baseline_accuracy"] == pytest.approx(max(share, 1 - share))


@pytest.mark.slow
def test_the_fast_preset_beats_the_more_frequent_answer() -> None:
    _, figures = fit(create_task("habitability", "fast", seed=0))
    assert figures["accuracy"] > 0.9
    assert figures["baseline_accuracy"] < 0.7
