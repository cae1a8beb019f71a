"""Runs as processes that are killed, run out of disk, or go on as several ranks."""

import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from astrobio.training.checkpoints import checkpoint_folders, load_newest
from astrobio.training.errors import RunFolderError, WriteError
from astrobio.training.run_folder import RunFolder
from astrobio.training.task import Batch, TrainingTask
from astrobio.training.trainer import FitSettings, fit

StartRun = Callable[..., subprocess.Popen[str]]
_STEPS = 150


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def no_report(line: str) -> None:
    raise AssertionError(line)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_has_a_good_newest_checkpoint_and_goes_on_to_the_same_bits(
    start_run: StartRun, tmp_path: Path
) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert finished(start_run(straight, _STEPS, "often"))[0] == 0
    moments = random.Random(5)
    first = start_run(killed, _STEPS, "often", "slowly")
    while not checkpoint_folders(killed / "checkpoints"):
        time.sleep(0.01)
    process = first
    steps = []
    for _ in range(4):
        time.sleep(moments.uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
        assert finished(process)[0] == -signal.SIGKILL
        newest = load_newest(killed / "checkpoints", report=no_report)  # no damaged one was passed over
        assert newest is not None
        steps.append(newest.step)
        process = start_run(killed, _STEPS, "often", "slowly", "resume")
        assert process.stdout is not None
        assert any(line == f"resuming after step {newest.step}\n" for line in process.stdout)
    assert steps == sorted(steps)
    assert steps[-1] > steps[0]
    assert finished(process)[0] == 0
    name = f"checkpoints/step-{_STEPS:08d}/tensors.safetensors"
    assert (straight / name).read_bytes() == (killed / name).read_bytes()
    assert RunFolder(straight).curve() == RunFolder(killed).curve()


def test_a_damaged_newest_checkpoint_is_told_and_the_run_goes_on_from_the_one_before(
    make_task: Callable[..., TrainingTask], tmp_path: Path
) -> None:
    _, figures = fit(make_task(), output=tmp_path, settings=FitSettings(checkpoint_every=5))
    newest = tmp_path / "checkpoints" / "step-00000020" / "tensors.safetensors"
    whole = newest.read_bytes()
    newest.write_bytes(whole[: len(whole) // 2])
    lines: list[str] = []
    _, again = fit(make_task(), output=tmp_path, resume=True, report=lines.append)
    assert "checkpoint step-00000020 is damaged (the digest of tensors.safetensors is wrong)" in lines[0]
    assert "resuming after step 15" in lines
    assert again == figures
    assert newest.read_bytes() == whole
    assert [record["step"] for record in RunFolder(tmp_path).curve()] == list(range(1, 21))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: writing more fails as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_error_and_the_checkpoint_before_is_intact(
    make_task: Callable[..., TrainingTask], tmp_path: Path
) -> None:
    fit(make_task(), output=tmp_path, settings=FitSettings(checkpoint_every=1))
    checkpoints = tmp_path / "checkpoints"
    size = (checkpoints / "step-00000020/tensors.safetensors").stat().st_size
    assert (tmp_path / "log.jsonl").stat().st_size < size  # or the limit would stop the log first
    before = {path: path.read_bytes() for path in (checkpoints / "step-00000019").iterdir()}
    shutil.rmtree(checkpoints / "step-00000020")
    lines: list[str] = []
    message = "step-00000020 cannot be written: File too large; what was there is intact"
    with largest_file(size - 1), pytest.raises(WriteError, match=message):
        fit(make_task(), output=tmp_path, resume=True, report=lines.append)
    assert "resuming after step 19" in lines
    assert {path: path.read_bytes() for path in (checkpoints / "step-00000019").iterdir()} == before
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-00000018", "step-00000019"]
    fit(make_task(), output=tmp_path, resume=True)
    assert (checkpoints / "step-00000020").exists()


def test_a_log_that_does_not_fit_on_the_disk_is_one_error(
    make_task: Callable[..., TrainingTask], tmp_path: Path
) -> None:
    with largest_file(1000), pytest.raises(WriteError, match=r"log\.jsonl cannot be written: File too large"):
        fit(make_task(), output=tmp_path, settings=FitSettings(checkpoint_every=20))
    assert len(RunFolder(tmp_path).curve()) < 20


def test_a_second_process_does_not_train_in_the_same_folder(
    make_task: Callable[..., TrainingTask], tmp_path: Path
) -> None:
    def meanwhile(record: Mapping[str, float]) -> None:
        if record["step"] == 3:
            with pytest.raises(RunFolderError, match="another process is training in"):
                fit(make_task(), output=tmp_path, resume=True)

    fit(make_task(), output=tmp_path, on_step=meanwhile)
    assert len(RunFolder(tmp_path).curve()) == 20


def test_a_log_whose_last_line_was_cut_off_is_cut_back_to_the_checkpoint(
    make_task: Callable[..., TrainingTask], tmp_path: Path
) -> None:
    fit(make_task(), output=tmp_path)
    whole = (tmp_path / "log.jsonl").read_bytes()
    (tmp_path / "log.jsonl").write_bytes(whole + whole.splitlines()[-1].replace(b": 20", b": 21") + b'\n{"step": 2')
    assert len(RunFolder(tmp_path).curve()) == 21
    fit(make_task(), output=tmp_path, resume=True)
    assert (tmp_path / "log.jsonl").read_bytes() == whole


def test_a_damaged_log_is_told(make_task: Callable[..., TrainingTask], tmp_path: Path) -> None:
    fit(make_task(), output=tmp_path)
    lines = (tmp_path / "log.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "log.jsonl").write_bytes(b"".join(lines[:17]) + b"\0\0\0\n" + b"".join(lines[18:]))
    told: list[str] = []
    fit(make_task(), output=tmp_path, resume=True, report=told.append)
    assert "log.jsonl is damaged: of the first 20 steps 3 are missing" in told


def torchrun(ranks: int) -> tuple[str, ...]:
    return ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}")


def results(folder: Path) -> dict[str, Tensor]:
    """The weights of a run, and every column of its loss curve, in float64."""
    checkpoint = load_newest(folder / "checkpoints", report=no_report)
    assert checkpoint is not None
    names = sorted(name for name in checkpoint.tensors if name.startswith("model."))
    weights = [checkpoint.tensors[name].double().flatten() for name in names]
    curve = RunFolder(folder).curve()
    columns = {
        name: torch.tensor([record[name] for record in curve], dtype=torch.float64)
        for name in ("loss", "mean_error", "gradient_norm")
    }
    return {"weights": torch.cat(weights), **columns}


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_compute_what_one_process_that_accumulates_computes(
    start_run: StartRun, make_undropped_task: Callable[..., TrainingTask], tmp_path: Path, ranks: int
) -> None:
    code, out, err = finished(start_run(tmp_path / "ranks", 20, "undropped", launcher=torchrun(ranks)))
    assert code == 0, err
    assert out.count("step 20/20: loss ") == 1  # one rank reports
    task = make_undropped_task()

    class InDouble(type(task)):  # type: ignore[misc]
        def build_model(self) -> nn.Module:
            return super().build_model().double()  # type: ignore[no-any-return]

        def batch(self, step: int, batch_size: int) -> Batch:
            return {name: tensor.double() for name, tensor in super().batch(step, batch_size).items()}

    settings = FitSettings(accumulate=ranks)
    fit(task, output=tmp_path / "one", settings=settings)
    fit(InDouble(), output=tmp_path / "double", settings=settings)
    theirs, ours, true = (results(tmp_path / name) for name in ("ranks", "one", "double"))
    # The ranks add the same gradients in another order. Their error against float64 is one of the same kind as that of
    # one process, whose largest over all weights, or over all steps of the curve, is taken four times: the two are
    # maxima of equally distributed errors.
    for name, values in true.items():
        bound = 4 * (ours[name] - values).abs().max()
        assert bound < 1e-3 * values.abs().max()  # what is allowed is rounding, not another gradient
        assert (theirs[name] - values).abs().max() <= bound, name


@pytest.mark.slow
def test_ranks_resume_to_the_same_bits(start_run: StartRun, tmp_path: Path) -> None:
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    assert finished(start_run(straight, 20, "often", launcher=torchrun(2)))[0] == 0
    assert finished(start_run(halves, 20, "often", launcher=torchrun(2)))[0] == 0
    for step in (20, 19):
        (halves / f"checkpoints/step-{step:08d}/state.json").write_text("")
    code, out, err = finished(start_run(halves, 20, "often", "resume", launcher=torchrun(2)))
    assert code == 0, err
    assert "resuming after step 18" in out
    name = "checkpoints/step-00000020/tensors.safetensors"
    assert (straight / name).read_bytes() == (halves / name).read_bytes()
