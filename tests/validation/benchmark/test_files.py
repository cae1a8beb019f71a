"""What a run keeps and writes: its journal, its lock, plots, and what is published."""

import importlib
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from audit.errors import UsageError
from audit.report.files import WriteError
from validation.benchmark.cases import AttentionCase
from validation.benchmark.clocks import nvml_clocks, read_clocks
from validation.benchmark.document import Ceiling
from validation.benchmark.journal import Journal, key_of
from validation.benchmark.lock import DeviceBusy, device_lock, folder_lock
from validation.benchmark.markdown import render, time_text
from validation.benchmark.plots import MISSING, write_plots
from validation.benchmark.publish import device_slug, publish, refuse_unpublishable
from validation.benchmark.rows import Clocks, Row, RowOutcome
from validation.benchmark.run import warnings_of

from .making import CASE, HARDWARE, document, measured_row

SAMPLES = [2_000_000] * 9


def row_of(length: int, backend: str = "eager") -> Row:
    case = AttentionCase.model_validate({**CASE.model_dump(), "length": length})
    samples = [sample * length // 256 for sample in SAMPLES]
    return measured_row(samples, backend=backend, case=case, peak_bytes=length * 2**12)


def test_a_journal_gives_back_rows_and_ceilings_of_the_same_plan_only(tmp_path: Path) -> None:
    path, key = tmp_path / "journal", key_of({"commit": "a"})
    first = Journal(path, key, fresh=False)
    raised = Row(case=CASE, backend=measured_row([1]).backend, outcome=RowOutcome.RAISED, reason="a bad moment")
    first.add_row(row_of(256))
    first.add_row(raised.model_copy(update={"backend": raised.backend.model_copy(update={"name": "other"})}))
    first.add_ceiling(Ceiling(dtype="float32", flops_per_s=1, bytes_per_s=2))
    first.close()
    again = Journal(path, key, fresh=False)
    again.close()
    assert again.rows == {row_of(256).key: row_of(256)}  # what raised is tried again
    assert again.ceilings["float32"].bytes_per_s == 2
    for other in (Journal(path, key_of({"commit": "b"}), fresh=False), Journal(path, key, fresh=False)):
        other.close()
        assert other.rows == {}


def test_half_a_line_at_the_end_costs_that_line_only(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = Journal(path, "key", fresh=False)
    first.add_row(row_of(256))
    first.add_row(row_of(512))
    first.close()
    text = path.read_text()
    path.write_text(text[:-20])
    again = Journal(path, "key", fresh=False)
    again.add_row(row_of(1024))
    again.close()
    last = Journal(path, "key", fresh=False)
    last.close()
    assert set(last.rows) == {row_of(256).key, row_of(1024).key}
    fresh = Journal(path, "key", fresh=True)
    fresh.close()
    assert fresh.rows == {}


def _hold(folder: Path, held: object) -> None:
    with device_lock("a gpu", wait_s=0, tell=lambda text: None, folder=folder):
        held.set()  # type: ignore[attr-defined]
        time.sleep(600)  # until it is killed


def test_one_device_is_timed_by_one_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(tmp_path, held))
    other.start()
    try:
        assert held.wait(120)
        told: list[str] = []
        with (
            pytest.raises(DeviceBusy, match=f"another benchmark \\(process {other.pid}\\) times on a gpu"),
            device_lock("a gpu", wait_s=0, tell=told.append, folder=tmp_path),
        ):
            pass
        with device_lock("another gpu", wait_s=0, tell=told.append, folder=tmp_path):
            pass
        assert told == []
        other.kill()  # the system frees what a killed process held
        with device_lock("a gpu", wait_s=60, tell=told.append, folder=tmp_path):
            assert len(told) <= 1
    finally:
        other.kill()
        other.join()


def test_a_folder_is_held_until_all_is_written_there(tmp_path: Path) -> None:
    told: list[str] = []
    with folder_lock(tmp_path, wait_s=0, tell=told.append):
        with pytest.raises(DeviceBusy, match="writes into"), folder_lock(tmp_path / ".", wait_s=0, tell=told.append):
            pass
        with folder_lock(tmp_path / "other", wait_s=0, tell=told.append):
            pass
    with folder_lock(tmp_path, wait_s=0, tell=told.append):
        assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "astrobio-audit-bench-cpu.lock").symlink_to(tmp_path / "victim")
    with (
        pytest.raises(DeviceBusy, match="cannot be opened"),
        device_lock("cpu", wait_s=0, tell=print, folder=tmp_path),
    ):
        pass
    assert not (tmp_path / "victim").exists()


def test_plots_of_speed_and_memory_are_drawn_and_stay_the_same(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    made = document(row_of(256), row_of(512), row_of(256, "sdpa"), row_of(512, "sdpa"))
    written, why = write_plots(made, tmp_path)
    assert why is None
    assert sorted(path.name for path in written) == [
        "bench-memory.png", "bench-memory.svg", "bench-speed.png", "bench-speed.svg",
    ]  # fmt: skip
    drawn = {path.name: path.read_bytes() for path in written}
    assert drawn["bench-speed.png"].startswith(b"\x89PNG")
    assert b"<svg" in drawn["bench-speed.svg"]
    write_plots(made, tmp_path)
    assert {path.name: path.read_bytes() for path in written} == drawn
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(drawn)


def test_memory_that_nobody_tells_leaves_its_plot_empty(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    silent = [row.model_copy(update={"memory": None}) for row in (row_of(256), row_of(512))]
    written, why = write_plots(document(*silent), tmp_path)
    assert (len(written), why) == (4, None)


def test_one_length_is_no_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    assert write_plots(document(row_of(256)), tmp_path) == ([], "no plots: no backend has times at two lengths")


def test_without_matplotlib_the_rest_is_written_and_says_so(
    bench: Callable, bench_package: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = importlib.import_module

    def without(name: str, package: str | None = None) -> object:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return imported(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    assert write_plots(document(row_of(256), row_of(512)), tmp_path) == ([], MISSING)
    given = tmp_path / "given.json"
    given.write_text(document(row_of(256), row_of(512)).as_json())
    found = bench(bench_package(), "--from", str(given))
    assert sorted(path.name for path in found.output.iterdir()) == ["bench.html", "bench.json", "bench.md"]


def test_a_device_has_a_file_of_its_own() -> None:
    assert device_slug("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"
    assert device_slug("../../etc") == "etc"
    assert device_slug("...") == "unknown"


@pytest.mark.parametrize("link", ["reports", "reports/benchmarks"])
def test_a_target_whose_folder_of_benchmarks_is_a_link_gets_none_elsewhere(tmp_path: Path, link: str) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "root"
    elsewhere.mkdir()
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(elsewhere)
    with pytest.raises(UsageError, match=f"{link}: is a link to another place; --publish does not go there"):
        publish(document(row_of(256)), root)
    assert list(elsewhere.iterdir()) == []


def test_a_finished_benchmark_is_published_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = document(row_of(256))
    paths = publish(made, tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "reports/benchmarks/a-processor.json",
        "reports/benchmarks/a-processor.md",
    ]
    assert paths[1].read_text() == render(made)
    before = {path: path.read_bytes() for path in paths}

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteError, match="what stood there is unchanged"):
        publish(document(row_of(512)), tmp_path)
    assert {path: path.read_bytes() for path in paths[0].parent.iterdir()} == before


def test_what_cannot_be_traced_or_is_not_finished_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no commit"):
        refuse_unpublishable(None, None)
    with pytest.raises(UsageError, match="does not tell"):
        refuse_unpublishable("a", None)
    for made, said in (
        (document(row_of(256), dirty=True), "uncommitted changes"),
        (document(row_of(256), partial=True), "stopped before its end"),
    ):
        with pytest.raises(UsageError, match=said):
            publish(made, tmp_path)
    absent = Row(case=CASE, backend=row_of(256).backend, outcome=RowOutcome.ABSENT, reason="not installed")
    with pytest.raises(UsageError, match="no row has a time"):
        publish(document(absent), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_target_says_does_not_reach_markdown_as_markup(tmp_path: Path) -> None:
    name = "x|<script>alert(1)</script>`\x1b[31m"
    raised = Row(case=CASE, backend=row_of(256).backend.model_copy(update={"name": name}),
                 outcome=RowOutcome.RAISED, reason="<b>|\n# heading")  # fmt: skip
    text = render(document(row_of(256), raised))
    assert "\x1b" not in text
    assert "<b>" not in text
    (line,) = [line for line in text.splitlines() if "raised |" in line]
    assert "alert" in line
    assert "heading" in line
    assert line.replace("\\|", "").count("|") == 5


class FakeNvml(SimpleNamespace):
    """Answers like pynvml for one GPU."""

    NVMLError = type("NVMLError", (Exception,), {})
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, reasons: int = 0x4 | 0x20 | 0x1) -> None:
        self.reasons, self.asked, self.ended = reasons, [], 0

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.ended += 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.asked.append(uuid)
        if uuid != "GPU-1234":
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:  # noqa: N802
        return self.reasons

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:  # noqa: N802
        return {1: 1755, 2: 2619}[kind]

    def nvmlDeviceGetTemperature(self, handle: str, kind: int) -> int:  # noqa: N802
        return 61

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:  # noqa: N802
        return 698_500


def test_clocks_and_throttle_reasons_are_those_of_the_gpu_with_this_id() -> None:
    nvml = FakeNvml()
    found = nvml_clocks(nvml, "1234")
    assert (found.sm_mhz, found.memory_mhz, found.temperature_c, found.power_w) == (1755, 2619, 61, 698.5)
    assert found.throttle_reasons == ("power cap", "software thermal slowdown")  # and not that it was idle
    assert nvml.asked == ["GPU-1234"]
    assert nvml.ended == 1
    assert nvml_clocks(nvml, "GPU-9").unknown == "NVML: Not Found"
    assert nvml_clocks(nvml, None).unknown == "torch does not tell the id of the GPU"


@pytest.mark.parametrize(
    ("clocks", "said"),
    [
        (Clocks(load=0.5), []),
        (Clocks(load=7.5), ["the machine was busy: up to 7.5 processes wanted to run on 2 cores; times say little"]),
        (Clocks(throttle_reasons=("power cap",)), ["the device was slowed down while rows were timed: power cap"]),
    ],
)
def test_what_slows_a_device_is_a_warning(clocks: Clocks, said: list[str]) -> None:
    row = row_of(256).model_copy(update={"clocks_before": Clocks(load=0.1), "clocks_after": clocks})
    warnings = list(warnings_of([row], HARDWARE))
    assert warnings == said
    text = render(document(row).model_copy(update={"warnings": tuple(warnings)}))
    assert all(warning in text.replace("\\", "") for warning in said)


@pytest.mark.parametrize(
    ("nanoseconds", "text"), [(999_600, "1 ms"), (999_400, "999 µs"), (12.3, "12.3 ns"), (2.5e9, "2.5 s")]
)
def test_a_time_has_the_unit_that_suits_it(nanoseconds: float, text: str) -> None:
    assert time_text(nanoseconds) == text


def test_without_pynvml_clocks_are_unknown_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, package: str | None = None) -> object:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert "pynvml is not installed" in read_clocks("1234", on_gpu=True).unknown
    assert read_clocks(None, on_gpu=False).load >= 0
