import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from astrobio.training.errors import Interrupted, RunFolderError
from astrobio.training.run_folder import RunFolder
from astrobio.training.task import Batch, Preset, TrainingTask
from astrobio.training.trainer import FitSettings, fit

MakeTask = Callable[..., TrainingTask]


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_fit_and_another_seed_does_not(make_task: MakeTask) -> None:
    fits = [fit(make_task(seed=seed)) for seed in (4, 4, 6)]
    assert equal(weights(fits[0][0]), weights(fits[1][0]))
    assert fits[0][1] == fits[1][1]
    assert fits[0][1] != fits[2][1]


def test_a_fit_leaves_the_global_random_states_alone(make_task: MakeTask) -> None:
    before = torch.get_rng_state(), random.getstate()
    fit(make_task(), steps=2)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_fitting_learns_changes_every_weight_and_ends_in_evaluation_mode(make_task: MakeTask) -> None:
    after_one, _ = fit(make_task(), steps=1)
    model, figures = fit(make_task(), steps=200)
    assert not model.training
    later = dict(model.named_parameters())
    assert all(not torch.equal(parameter, later[name]) for name, parameter in after_one.named_parameters())
    assert figures["rmse"] < 0.5 * figures["baseline_rmse"]


def test_every_step_is_told_and_written(make_task: MakeTask, tmp_path: Path) -> None:
    records: list[Mapping[str, float]] = []
    lines: list[str] = []
    fit(make_task(), output=tmp_path / "run", on_step=records.append, report=lines.append)
    assert [record["step"] for record in records] == list(range(1, 21))
    assert set(records[0]) == {"step", "loss", "mean_error", "learning_rate", "gradient_norm"}
    assert RunFolder(tmp_path / "run").curve() == records
    assert lines[-1].startswith("step 20/20: loss ")


def test_the_learning_rate_warms_up_and_decays(make_task: MakeTask) -> None:
    records: list[Mapping[str, float]] = []
    fit(make_task(), on_step=records.append)
    rates = [record["learning_rate"] for record in records]
    assert rates[0] == pytest.approx(0.05 / 4)
    assert max(rates) == rates[3]
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] < 0.01 * max(rates)


def test_accumulating_shards_sums_up_to_the_gradient_of_their_mean_loss(make_task: MakeTask) -> None:
    class Undropped(type(make_task())):  # type: ignore[misc]
        def build_model(self) -> nn.Module:
            return nn.Linear(2, 1)

    class Joined(Undropped):
        """Its batch of step n is the three shards of step n, one after the other."""

        def batch(self, step: int, batch_size: int) -> Batch:
            shards = [super(Joined, self).batch(3 * step + index, batch_size // 3) for index in range(3)]
            return {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}

    accumulated, _ = fit(Undropped(), steps=5, settings=FitSettings(accumulate=3))
    joined, _ = fit(Joined(), steps=5)
    for name, value in weights(accumulated).items():
        torch.testing.assert_close(value, weights(joined)[name], rtol=1e-4, atol=1e-5)
    other, _ = fit(Undropped(), steps=5)
    assert not torch.allclose(other.weight, joined.weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_computes_in_it_and_learns(make_task: MakeTask, precision: str) -> None:
    seen: set[torch.dtype] = set()

    class Watched(type(make_task())):  # type: ignore[misc]
        def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
            seen.add(model(batch["points"]).dtype)
            return super().loss(model, batch)  # type: ignore[no-any-return]

    model, figures = fit(Watched(), steps=200, settings=FitSettings(precision=precision))
    assert seen == {getattr(torch, precision)}
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert figures["rmse"] < 0.5 * figures["baseline_rmse"]


def test_a_gradient_that_overflows_float16_is_skipped_and_the_log_stays_json(
    make_task: MakeTask, tmp_path: Path
) -> None:
    class Steep(type(make_task())):  # type: ignore[misc]
        def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
            return {"loss": 10.0 * super().loss(model, batch)["loss"]}

    model, _ = fit(Steep(), output=tmp_path, settings=FitSettings(precision="float16"))
    norms = [record["gradient_norm"] for record in RunFolder(tmp_path).curve()]
    assert norms[0] is None
    assert norms[-1] is not None
    assert "Infinity" not in (tmp_path / "log.jsonl").read_text()
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_a_batch_that_cannot_be_divided_is_an_error(make_task: MakeTask) -> None:
    with pytest.raises(ValueError, match="a batch of 12 cannot be divided into 5"):
        fit(make_task(), settings=FitSettings(accumulate=5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "int8"}, "unknown precision 'int8'; choose from: float32, bfloat16, float16"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1, got 0"),
        ({"keep": 0}, "keep must be at least 1, got 0"),
    ],
)
def test_settings_that_describe_no_fit_are_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FitSettings(**settings)  # type: ignore[arg-type]


def test_no_steps_are_an_error(make_task: MakeTask) -> None:
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        fit(make_task(), steps=0)


@pytest.mark.parametrize(
    ("device", "message"),
    [("gpu", "'gpu' is not a device"), ("meta", "'meta' is not supported"), ("cuda:99", "asks for GPU 99")],
)
def test_a_device_that_is_not_there_is_an_error(make_task: MakeTask, device: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(make_task(), device=device)


def test_resuming_without_a_folder_is_an_error(make_task: MakeTask) -> None:
    with pytest.raises(ValueError, match="nothing to resume without an output folder"):
        fit(make_task(), resume=True)


def stopping_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(1, 10**6))
    return lambda: next(asked) == steps


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_run_that_was_stopped_and_resumed_has_the_bits_of_one_that_was_not(
    make_task: MakeTask, tmp_path: Path, precision: str
) -> None:
    settings = FitSettings(precision=precision, accumulate=2)
    straight, halves = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "halves")
    model, figures = fit(make_task(seed=3), output=straight.path, settings=settings)
    with pytest.raises(Interrupted, match="stopped after step 10 of 20"):
        fit(make_task(seed=3), output=halves.path, settings=settings, is_stop_wanted=stopping_after(10))
    assert len(halves.curve()) == 10
    random.seed(1)
    torch.manual_seed(1)
    resumed, resumed_figures = fit(make_task(seed=3), output=halves.path, settings=settings, resume=True)
    assert equal(weights(model), weights(resumed))
    assert figures == resumed_figures
    assert straight.curve() == halves.curve()
    name = "checkpoints/step-00000020/{}".format
    for file in ("tensors.safetensors", "state.json"):  # optimiser, scaler and random states are in them
        assert (straight.path / name(file)).read_bytes() == (halves.path / name(file)).read_bytes()


def test_resuming_a_finished_run_measures_it_again(make_task: MakeTask, tmp_path: Path) -> None:
    _, figures = fit(make_task(), output=tmp_path)
    steps: list[Mapping[str, float]] = []
    _, again = fit(make_task(), output=tmp_path, resume=True, on_step=steps.append)
    assert again == figures
    assert steps == []


def test_a_folder_with_a_run_is_not_written_to_unasked(make_task: MakeTask, tmp_path: Path) -> None:
    fit(make_task(), output=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RunFolderError, match="already holds a run"):
        fit(make_task(seed=1), output=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_another_run_is_not_resumed(make_task: MakeTask, tmp_path: Path) -> None:
    fit(make_task(), output=tmp_path)
    with pytest.raises(RunFolderError, match=r"holds another run: seed is 0, not 1; steps is 20, not 30"):
        fit(make_task(seed=1), output=tmp_path, steps=30, resume=True)


def test_a_folder_without_a_run_is_not_resumed(make_task: MakeTask, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="holds no run"):
        fit(make_task(), output=tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()


def test_a_folder_of_something_else_is_left_alone(make_task: MakeTask, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunFolderError, match="not an empty folder"):
        fit(make_task(), output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


class Broken(nn.Module):
    """Breaks as told when its weight is used for the third time."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.second = nn.Linear(2, 1)
        self.how, self.calls = how, 0

    def forward(self, points: Tensor) -> Tensor:
        self.calls += 1
        hidden = self.first(points)
        if self.calls == 3:
            if self.how == "loss":
                hidden = hidden * float("inf")
            if self.how == "weight":
                self.second.weight.data[0, 0] = float("nan")
            if self.how == "gradient":
                hidden = hidden + (hidden - hidden.detach()).abs().sqrt()  # zero, with an infinite slope
        output: Tensor = self.second(hidden)
        return output


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("loss", r"the loss is (nan|inf) at step 3: every weight is finite, look at the batch"),
        ("weight", r"the loss is nan at step 3: second.weight is not finite"),
        ("gradient", r"the gradient of first.weight is not finite at step 3, where the loss is \d"),
    ],
)
def test_what_is_not_finite_stops_the_run_and_is_named(
    make_task: MakeTask, tmp_path: Path, how: str, message: str
) -> None:
    class Task(type(make_task())):  # type: ignore[misc]
        def build_model(self) -> nn.Module:
            return Broken(how)

    with pytest.raises(FloatingPointError, match=message):
        fit(Task(), output=tmp_path, settings=FitSettings(checkpoint_every=1))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000001", "step-00000002"]


class Idle(nn.Module):
    """A line with a parameter that does nothing but decay, in steps that overflow float32."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(2, 1)
        self.idle = nn.Parameter(torch.tensor(10.0))

    def forward(self, points: Tensor) -> Tensor:
        output: Tensor = self.line(points) + 0.0 * self.idle
        return output


def test_weights_broken_by_the_last_step_stop_the_run_and_are_not_saved(make_task: MakeTask, tmp_path: Path) -> None:
    class Task(type(make_task())):  # type: ignore[misc]
        presets: ClassVar = {"base": Preset(steps=1, batch_size=12, learning_rate=1.0, weight_decay=3e38)}

        def build_model(self) -> nn.Module:
            return Idle()

    with pytest.raises(FloatingPointError, match=r"idle is not finite after step 1"):
        fit(Task(), output=tmp_path)
    assert list((tmp_path / "checkpoints").iterdir()) == []
