"""Clocks: the order in which things happen on a GPU, with a fake of `torch.cuda`, and a real CPU."""

import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from audit.probe.benchmark.clock import CpuClock, CudaClock, last_level_cache_bytes
from audit.probe.benchmark.machine import cpu_name, cuda_facts
from audit.probe.benchmark.memory import cuda_peak_bytes, peak_bytes


class FakeCuda:
    """Answers like `torch.cuda`, and keeps what was asked in order."""

    def __init__(self, l2_bytes: int = 50 * 2**20) -> None:
        self.log: list[str] = []
        self.properties = SimpleNamespace(
            name="NVIDIA H100 80GB HBM3", total_memory=85_520_809_984, L2_cache_size=l2_bytes, major=9, minor=0,
            multi_processor_count=132, uuid="abc",
        )  # fmt: skip
        self.allocated, self.peak = 1000, 1000
        self.slept: list[int] = []
        fake = self

        class Event:
            def __init__(self, enable_timing: bool = False) -> None:
                assert enable_timing
                self.name = f"event {sum(line.startswith('new') for line in fake.log)}"
                fake.log.append(f"new {self.name}")

            def record(self) -> None:
                fake.log.append(f"record {self.name}")

            def synchronize(self) -> None:
                fake.log.append(f"wait {self.name}")

            def elapsed_time(self, end: "Event") -> float:
                assert f"wait {end.name}" in fake.log
                return 1.25

        class CUDAGraph:
            def replay(self) -> None:
                fake.log.append("replay")

        self.Event, self.CUDAGraph = Event, CUDAGraph

    def get_device_properties(self, device: str) -> SimpleNamespace:
        return self.properties

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def _sleep(self, cycles: int) -> None:
        self.log.append("sleep")
        self.slept.append(cycles)

    @contextmanager
    def graph(self, graph: object):  # type: ignore[no-untyped-def]
        self.log.append("capture")
        yield
        self.log.append("captured")

    def reset_peak_memory_stats(self) -> None:
        self.peak = self.allocated

    def memory_allocated(self) -> int:
        return self.allocated

    def max_memory_allocated(self) -> int:
        return self.peak


class Flush:
    """A buffer that tells when it is written."""

    def __init__(self, log: list[str], elements: int) -> None:
        self.log, self.elements = log, elements

    def zero_(self) -> None:
        self.log.append("flush")


def cuda_clock(cuda: FakeCuda) -> tuple[CudaClock, list[Flush]]:
    made: list[Flush] = []

    def make(elements: int, **options: object) -> Flush:
        assert options == {"dtype": torch.int64, "device": "cuda:1"}
        made.append(Flush(cuda.log, elements))
        return made[-1]

    return CudaClock(cuda, "cuda:1", make), made  # type: ignore[arg-type]


def test_a_gpu_call_is_between_its_events_and_the_flush_is_not() -> None:
    cuda = FakeCuda()
    clock, made = cuda_clock(cuda)
    found = clock.timed_ns(lambda: cuda.log.append("action"))
    assert found == 1_250_000
    assert cuda.log == [
        "new event 0", "new event 1", "flush", "sleep", "record event 0", "action", "record event 1", "wait event 1",
    ]  # fmt: skip
    assert made[0].elements * 8 >= 50 * 2**20
    assert clock.is_cache_known


def test_a_gpu_waits_longer_than_a_call_takes_to_launch() -> None:
    cuda = FakeCuda()
    clock, _ = cuda_clock(cuda)
    for seconds in (0.003, 0.02, 0.0):
        clock.timed_ns(lambda taken=seconds: time.sleep(taken))  # type: ignore[misc]
    first, second, third = cuda.slept
    assert second >= 2 * 2 * 3_000_000 > first  # twice as long as the last launch, at two cycles a nanosecond
    assert third == 2 * 10_000_000  # at most so long: a call that waits for the device gains nothing
    launches = clock.launches_ns[:2]  # a sleep is as long as it was asked to be, or longer
    assert [each >= asked for each, asked in zip(launches, (3_000_000, 20_000_000), strict=True)] == [True, True]


def test_a_whole_call_is_timed_without_waiting() -> None:
    cuda = FakeCuda()
    cuda_clock(cuda)[0].timed_ns(lambda: None, launched_ahead=False)
    assert cuda.slept == []


def test_a_gpu_that_tells_no_cache_gets_an_assumed_one_and_says_so() -> None:
    clock, made = cuda_clock(FakeCuda(l2_bytes=0))
    assert not clock.is_cache_known
    assert made[0].elements * 8 >= clock.cache_bytes > 0


def test_a_graph_is_captured_once_and_replayed() -> None:
    cuda = FakeCuda()
    clock, _ = cuda_clock(cuda)
    replay = clock.graphed(lambda: cuda.log.append("action"))
    clock.timed_ns(replay)
    assert cuda.log[:3] == ["capture", "action", "captured"]
    assert cuda.log.count("action") == 1
    assert cuda.log.index("record event 0") < cuda.log.index("replay") < cuda.log.index("record event 1")


def test_the_memory_of_a_gpu_call_is_what_it_adds_at_its_peak() -> None:
    cuda = FakeCuda()

    def action() -> None:
        cuda.peak = 5000
        cuda.allocated = 1500

    cuda.peak = 99_999  # of what ran before
    assert cuda_peak_bytes(action, cuda) == 4000


def test_facts_of_a_gpu_are_its_own() -> None:
    found = cuda_facts(FakeCuda().properties)
    assert found == {
        "name": "NVIDIA H100 80GB HBM3", "memory_bytes": 85_520_809_984, "cache_bytes": 50 * 2**20,
        "capability": "9.0", "cores": 132, "uuid": "abc",
    }  # fmt: skip
    assert cuda_facts(FakeCuda(l2_bytes=0).properties)["cache_bytes"] is None


def test_a_cpu_call_is_timed_without_its_flush(tmp_path: Path) -> None:
    clock = CpuClock(tmp_path)
    assert not clock.is_cache_known
    assert clock.timed_ns(lambda: time.sleep(0.01)) >= 10_000_000
    clock.settle()


def test_the_largest_cache_counts(tmp_path: Path) -> None:
    for number, size in enumerate(("48K", "2048K", "32M", "strange")):
        (tmp_path / f"index{number}").mkdir()
        (tmp_path / f"index{number}" / "size").write_text(size + "\n")
    assert last_level_cache_bytes(tmp_path) == 32 * 2**20
    assert last_level_cache_bytes(tmp_path / "nothing") is None


def test_the_processor_is_named(tmp_path: Path) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text("processor\t: 0\nmodel name\t: A Processor, 3.0 GHz\n")
    assert cpu_name(facts) == "A Processor, 3.0 GHz"
    assert cpu_name(tmp_path / "nothing")


def test_the_memory_of_a_cpu_call_is_seen() -> None:
    def takes(elements: int) -> Callable[[], object]:
        return lambda: torch.ones(elements, dtype=torch.uint8).numel()

    found, how = peak_bytes(takes(200 * 2**20))
    if found is None:
        pytest.skip(f"{how}: there is nothing to compare")
    assert 190 * 2**20 < found < 300 * 2**20
