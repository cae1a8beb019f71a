"""The command on backends that are right, wrong, absent, slow, too large or dying."""

from collections.abc import Callable

import pytest

from audit.errors import UsageError
from validation.benchmark import run as run_
from validation.benchmark.document import Ceiling
from validation.benchmark.rows import RowOutcome
from validation.benchmark.spread import relative_error

NO_CAUSAL = """
def no_causal(query, key, value, is_causal, window):
    return right(query, key, value, False, window)
"""
LAST_HEAD = """
def last_head(query, key, value, is_causal, window):
    output = right(query, key, value, is_causal, window)
    return torch.cat((output[:, :-1], right(query, key, value, False, window)[:, -1:]), dim=1)
"""
BY_IDENTITY = """
_kept = {}
def by_identity(query, key, value, is_causal, window):
    name = (id(query), id(key), id(value))
    if name not in _kept:
        _kept[name] = right(query, key, value, is_causal, window)
    return _kept[name]
"""
LATER_WRONG = """
_calls = []
def later_wrong(query, key, value, is_causal, window):
    _calls.append(1)
    return right(query, key, value, is_causal and len(_calls) < 3, window)
"""
IN_PLACE = """
def in_place(query, key, value, is_causal, window):
    query.mul_(0.5)
    return right(query, key, value, is_causal, window)
"""
HALF = """
def half(query, key, value, is_causal, window):
    return right(query, key, value, is_causal, window).half()
"""
RAISES = """
def raises(query, key, value, is_causal, window):
    raise RuntimeError("no kernel image is available\\nand more")
"""
HOLDS = """
_held = []
def holds(query, key, value, is_causal, window):
    if query.shape[2] == 24:
        _held.append(query)
        raise RuntimeError("no room")
    assert not _held
    return right(query, key, value, is_causal, window)
"""
NOT_YET = """
def not_yet(query, key, value, is_causal, window):
    raise NotImplementedError("heads of 8 features are not written yet")
"""
TOO_LARGE = """
def too_large(query, key, value, is_causal, window):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
"""
DIES = """
def dies(query, key, value, is_causal, window):
    import os
    os._exit(7)
"""
HANGS = """
def hangs(query, key, value, is_causal, window):
    import time
    time.sleep(600)
"""
BURSTS = """
_turns = []
def bursts(query, key, value, is_causal, window):
    import time
    _turns.append(1)
    time.sleep(0.004 if len(_turns) % 2 else 0.0005)  # every other, for on a busy machine there are few
    return right(query, key, value, is_causal, window)
"""


@pytest.mark.parametrize(
    ("name", "source", "when"),
    [
        ("no_causal", NO_CAUSAL, "before"),
        pytest.param("last_head", LAST_HEAD, "before", marks=pytest.mark.slow),
        pytest.param("in_place", IN_PLACE, "before", marks=pytest.mark.slow),
        pytest.param("half", HALF, "before", marks=pytest.mark.slow),
        pytest.param("by_identity", BY_IDENTITY, "after", marks=pytest.mark.slow),
        ("later_wrong", LATER_WRONG, "after"),
    ],
)
def test_a_wrong_backend_gets_no_time_and_fails_the_run(
    name: str, source: str, when: str, bench: Callable, bench_package: Callable
) -> None:
    found = bench(bench_package({name: source}), "--backend", name, "--backend", "right")
    wrong, right = found.row(name), found.row("right")
    assert wrong.outcome is RowOutcome.WRONG
    assert wrong.reason.startswith(f"wrong {when} it was timed: ")
    assert wrong.timing is None
    assert wrong.rates is None
    assert right.outcome is RowOutcome.MEASURED
    assert right.correctness.before.seed != right.correctness.after.seed
    assert found.exit_code == 1
    assert [each["param"] for each in found.document.benchmarks] == ["right"]


@pytest.mark.parametrize(
    ("name", "source", "outcome", "reason"),
    [
        ("raises", RAISES, RowOutcome.RAISED, "forward raised RuntimeError: no kernel image is available"),
        pytest.param(
            "not_yet",
            NOT_YET,
            RowOutcome.UNSUPPORTED,
            "heads of 8 features are not written yet",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("too_large", TOO_LARGE, RowOutcome.OUT_OF_MEMORY, "out of memory during forward: OutOfMemoryError"),
            marks=pytest.mark.slow,
        ),
        ("dies", DIES, RowOutcome.CRASHED, "the target's process exited with status 7 before it answered"),
    ],
)
def test_a_backend_without_an_answer_is_a_row_with_its_reason(
    name: str, source: str, outcome: RowOutcome, reason: str, bench: Callable, bench_package: Callable
) -> None:
    found = bench(bench_package({name: source}), "--backend", name, "--backend", "right")
    row = found.row(name)
    assert row.outcome is outcome
    assert row.reason.startswith(reason)
    assert row.timing is None
    assert found.row("right").outcome is RowOutcome.MEASURED
    assert found.exit_code == (3 if outcome.is_incomplete else 0)


def test_what_a_backend_holds_when_it_raises_is_gone_before_the_next_case(
    bench: Callable, bench_package: Callable
) -> None:
    found = bench(
        bench_package({"holds": HOLDS}), "--backend", "holds", "--backend", "right", "--length", "24", "--length", "32"
    )
    rows = {row.case.length: row for row in found.document.rows if row.backend.name == "holds"}
    assert rows[24].outcome is RowOutcome.RAISED
    assert rows[32].outcome is RowOutcome.MEASURED, rows[32].reason


@pytest.mark.slow
def test_a_backend_that_hangs_costs_its_own_row(bench: Callable, bench_package: Callable) -> None:
    root = bench_package({"hangs": HANGS})
    found = bench(root, "--backend", "hangs", "--backend", "right", "--timeout", "5")
    assert found.row("hangs").outcome is RowOutcome.TIMED_OUT
    assert found.row("right").outcome is RowOutcome.MEASURED
    assert found.exit_code == 3


def test_a_library_that_is_not_installed_is_absent_and_says_so(bench: Callable, bench_package: Callable) -> None:
    found = bench(bench_package(), "--backend", "flash_attn_3", "--backend", "right")
    row = found.row("flash_attn_3")
    assert (row.outcome, row.reason) == (RowOutcome.ABSENT, "flash_attn_interface is not installed")
    assert found.exit_code == 0


def test_what_the_specs_say_is_unsupported_is_not_called(bench: Callable, bench_package: Callable) -> None:
    more = """
        def never(query, key, value, is_causal, window):
            raise AssertionError("called")

        def why(query, key, value, is_causal, window):
            return f"not on {query.device.type} with {query.shape[2]} queries"
    """
    root = bench_package(more=more)
    specs = root / "zoo" / "specs.py"
    entry = 'BENCHMARKS["never"] = {"function": "zoo.specs:never", "forward": never, "unsupported": why}\n'
    specs.write_text(specs.read_text() + entry)
    row = bench(root, "--backend", "never", "--backend", "right").row("never")
    assert (row.outcome, row.reason) == (RowOutcome.UNSUPPORTED, "not on cpu with 24 queries")


def test_an_entry_that_cannot_be_used_is_a_row_that_says_so(bench: Callable, bench_package: Callable) -> None:
    root = bench_package()
    specs = root / "zoo" / "specs.py"
    specs.write_text(specs.read_text() + 'BENCHMARKS["half_made"] = {"function": "zoo.specs:right"}\n')
    found = bench(root, "--backend", "half_made", "--backend", "right")
    row = found.row("half_made")
    assert (row.outcome, row.reason) == (
        RowOutcome.RAISED, "the specs' entry cannot be used: the entry lacks 'forward'",
    )  # fmt: skip
    assert found.row("right").backend.digest.startswith("sha256:")
    assert found.exit_code == 3


def test_a_package_without_specs_has_the_built_in_backends(bench: Callable, bench_package: Callable) -> None:
    root = bench_package()
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\n')
    found = bench(root, "--backend", "eager")
    assert [row.outcome for row in found.document.rows] == [RowOutcome.MEASURED]


def test_a_name_of_a_built_in_backend_is_refused(bench: Callable, bench_package: Callable) -> None:
    root = bench_package()
    specs = root / "zoo" / "specs.py"
    specs.write_text(specs.read_text() + 'BENCHMARKS["sdpa"] = BENCHMARKS["right"]\n')
    with pytest.raises(UsageError, match="BENCHMARKS names a backend 'sdpa'"):
        bench(root)


def test_one_that_is_slow_in_bursts_is_timed_with_every_sample_and_a_note(
    bench: Callable, bench_package: Callable
) -> None:
    found = bench(bench_package({"bursts": BURSTS}), "--backend", "bursts", "--seconds", "0.6", "--rounds", "3")
    timing = found.row("bursts").timing
    samples = [sample for each in timing.rounds_ns for sample in each]
    assert max(samples) - min(samples) > 2_000_000
    assert timing.n == len(samples)
    assert relative_error(timing.rounds_ns) > 0.005
    assert not timing.stop_rule_met
    assert timing.note.startswith("stop rule not met: ")


def test_every_mode_is_checked_and_timed(bench: Callable, bench_package: Callable) -> None:
    modes = ("forward", "backward", "decode")
    found = bench(bench_package(), "--backend", "right", "--backend", "eager", "--heads", "4:2", mode=modes)
    assert [found.row(name, mode).outcome for name in ("right", "eager") for mode in modes] == ["measured"] * 6
    assert found.exit_code == 0
    for mode in modes:
        row = found.row("right", mode)
        assert row.rates.times_faster_than_baseline > 0
        assert 0 < row.rates.of_roofline <= 1
        assert row.rates.of_datasheet is None
        assert row.timing.cache_bytes_flushed > 0
        assert row.clocks_before.load is not None
    assert found.document.hardware.kind == "cpu"
    assert "nothing here says anything of a GPU" in found.document.method.clock


def test_a_gradient_that_is_wrong_gets_no_time(bench: Callable, bench_package: Callable) -> None:
    source = """
        def detached(query, key, value, is_causal, window):
            return right(query, key + 0 * value.detach(), value * 0.5 + value.detach() * 0.5, is_causal, window)
    """
    found = bench(bench_package({"detached": source}), "--backend", "detached", mode=("forward", "backward"))
    assert found.row("detached", "forward").outcome is RowOutcome.MEASURED
    assert found.row("detached", "backward").outcome is RowOutcome.WRONG
    assert "value gradient" in found.row("detached", "backward").reason


def test_faster_than_is_possible_is_an_error_of_the_measurement(
    bench: Callable, bench_package: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def slow(target: object, probe: object, dtype: str) -> Ceiling:
        asked.append(dtype)
        return Ceiling(dtype=dtype, flops_per_s=1.0, bytes_per_s=1.0)

    monkeypatch.setattr(run_, "_ceiling", slow)
    found = bench(bench_package(), "--backend", "right")
    row = found.row("right")
    assert row.outcome is RowOutcome.INVALID
    assert "above 100 % is never a result" in row.reason
    assert row.timing is None
    assert asked == ["float32"] * 2  # once more before a row is called wrong
    assert found.exit_code == 3


@pytest.mark.slow
def test_models_are_timed_and_one_that_ignores_its_input_is_wrong(bench: Callable, bench_package: Callable) -> None:
    more = """
        def inputs(batch_size, generator):
            return {"x": torch.randn(batch_size, 6, generator=generator)}

        class Deaf(torch.nn.Linear):
            def forward(self, x):
                return super().forward(torch.ones_like(x))

        class Hears(torch.nn.Linear):
            def forward(self, x):
                return super().forward(x)

        def loss(output, inputs):
            return output.square().mean()

        MODELS = {
            name: {"class": f"zoo.specs:{kind.__name__}", "build": lambda kind=kind: kind(6, 2), "inputs": inputs,
                   "loss": loss}
            for name, kind in (("deaf", Deaf), ("hears", Hears))
        }
    """
    found = bench(bench_package(more=more), "--model", "deaf", "--model", "hears", mode=("forward", "training_step"))
    rows = {(row.case.name, row.case.mode.value): row for row in found.document.rows}
    assert len(rows) == 4
    assert rows["hears", "forward"].outcome is RowOutcome.MEASURED
    assert rows["hears", "training_step"].rates.items_per_s > 0
    assert rows["deaf", "forward"].outcome is RowOutcome.WRONG
    assert "batches with the output of another" in rows["deaf", "forward"].reason
    assert found.exit_code == 1


def test_a_preset_for_a_gpu_without_one_is_skipped_and_not_missing(bench: Callable, bench_package: Callable) -> None:
    found = bench(bench_package(), "--preset", "gpu", "--backend", "right", "--dtype", "bfloat16")
    assert {row.outcome for row in found.document.rows} == {RowOutcome.SKIPPED}
    assert {row.case.dtype for row in found.document.rows} == {"bfloat16"}
    assert "sees no CUDA device" in found.document.rows[0].reason
    assert found.exit_code == 3


def test_what_was_measured_is_not_replaced_by_nothing(bench: Callable, bench_package: Callable) -> None:
    root = bench_package()
    before = bench(root, "--backend", "right")
    assert before.row("right").outcome is RowOutcome.MEASURED
    after = bench(root, "--preset", "gpu", "--backend", "right")
    assert (after.exit_code, after.document) == (3, before.document)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backend", "none"), "--backend none: no such backend"),
        (("--model", "none"), "--model none: no such model"),
        (("--heads", "3:2"), "--heads 3:2: the first should be a multiple of the second"),
        (("--heads", "many"), "--heads many: should be H or H:HKV"),
        (("--dtype", "int8"), "--dtype int8: should be one of"),
        (("--mode", "sideways"), "--mode sideways: should be one of"),
        (("--length", "0"), "--length: Input should be greater than 0"),
        (("--device", "tpu"), "--device tpu: should be cpu, cuda or cuda:N"),
        (("--device", "cuda"), "--device cuda: torch"),
        (("--mode", "training_step", "--backend", "right"), "the plan is empty"),
        (("--compare", "nothing.json"), "--compare nothing.json: cannot be read"),
        (("--publish",), "--publish: the target names no commit"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_line_before_anything_is_timed(
    arguments: tuple[str, ...], said: str, bench: Callable, bench_package: Callable
) -> None:
    with pytest.raises(UsageError) as refused:
        bench(bench_package(), *arguments, mode=() if "--mode" in arguments else ("forward",))
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
