"""Times our Triton attention beside torch's flash kernel, and the flash attention libraries where they are installed.

    python tests/benchmarks/attention_kernels.py reports/benchmarks/attention_kernels.md [--lengths 2048 16384]

Each case is checked before it is timed, in the same run: what is wrong gets no time, and the exit code is then 1. All
contenders take turns in every round; times are medians over the rounds, ratios medians of the ratios within a round.
Without a CUDA device nothing is written and the exit code is 3.
"""

import argparse
import functools
import math
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from astrobio.attention.backends import BACKENDS, AttentionCall

BASELINE = "torch SDPA flash"
OURS = "triton"
LIBRARIES = ("flash_attention_4", "flash_attention_3", "flash_attention_2")
TOKENS = 16_384  # in a batch, and
HIDDEN = 2_048  # features of all heads together, as in the tables of Dao 2023
L2_BYTES = 256 * 2**20  # more than the second-level cache, written between timings so that each finds it cold
WARM_UP = 3
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """One set of sizes; as many samples as make up `TOKENS`."""

    head_dim: int
    is_causal: bool
    length: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return max(TOKENS // self.length, 1), HIDDEN // self.head_dim, self.length, self.head_dim

    def flops(self, *, is_backward: bool) -> float:
        """Multiplications and additions that the result takes: two products forward, five backward; half if causal."""
        batch, heads, length, head_dim = self.shape
        forward = 4 * batch * heads * length**2 * head_dim / (2 if self.is_causal else 1)
        return forward * (2.5 if is_backward else 1)


@dataclass
class Row:
    """What was found for one case and direction: milliseconds and ratios, or why there is no time."""

    case: Case
    is_backward: bool
    times_ms: dict[str, list[float]] = field(default_factory=dict)
    no_time: dict[str, str] = field(default_factory=dict)


def sdpa_flash(query: Tensor, key: Tensor, value: Tensor, *, is_causal: bool) -> Tensor:
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return F.scaled_dot_product_attention(query, key, value, is_causal=is_causal)


def through_backend(query: Tensor, key: Tensor, value: Tensor, *, name: str, is_causal: bool) -> Tensor:
    call = AttentionCall(query=query, key=key, value=value, scale=query.shape[3] ** -0.5, is_causal=is_causal)
    return BACKENDS[name].run(call)


def contenders(case: Case, inputs: Sequence[Tensor]) -> tuple[dict[str, Attend], dict[str, str]]:
    """What can run the case, the baseline first, and why the others cannot."""
    query, key, value = inputs
    call = AttentionCall(query=query, key=key, value=value, scale=case.head_dim**-0.5, is_causal=case.is_causal)
    able: dict[str, Attend] = {BASELINE: functools.partial(sdpa_flash, is_causal=case.is_causal)}
    unable = {}
    for name in (OURS, *LIBRARIES):
        reason = BACKENDS[name].unsupported_reason(call)
        if reason is None:
            able[name] = functools.partial(through_backend, name=name, is_causal=case.is_causal)
        else:
            unable[name] = reason
    return able, unable


def plain(query: Tensor, key: Tensor, value: Tensor, *, is_causal: bool, scaled_first: bool) -> Tensor:
    """Attention of one head, (L, D), in the dtype it is given, in one of two orders of operations."""
    scale = query.shape[-1] ** -0.5
    scores = (query * scale) @ key.mT if scaled_first else query @ key.mT * scale
    if is_causal:
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -math.inf)
    return scores.softmax(dim=-1) @ value


def with_gradients(output: Tensor, leaves: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
    return [output.detach(), *torch.autograd.grad(output, leaves, weights.to(output.dtype))]


def excess(found: Sequence[Tensor], inputs: Sequence[Tensor], weights: Tensor, *, is_causal: bool) -> str | None:
    """How the result of one head exceeds 3 * max(E, E') + 2 * rounding, or None; E are the plain computation's errors.

    Args:
        found: output and gradients of query, key and value, each (L, D).
        inputs: query, key and value, each (L, D).
        weights: the gradient of the output, (L, D).
        is_causal: whether the attention is causal.
    """

    def computed(dtype: torch.dtype, scaled_first: bool) -> list[Tensor]:
        leaves = [tensor.detach().to(dtype).requires_grad_() for tensor in inputs]
        return with_gradients(plain(*leaves, is_causal=is_causal, scaled_first=scaled_first), leaves, weights)

    truth = computed(torch.float64, False)
    orders = [computed(inputs[0].dtype, scaled_first) for scaled_first in (False, True)]
    names = ("output", "query gradient", "key gradient", "value gradient")
    for index, (name, actual, expected) in enumerate(zip(names, found, truth, strict=True)):
        rounded = expected.to(actual.dtype)
        rounding = float(((rounded + 0.3 - 0.3).double() - rounded.double()).abs().max())
        bound = 3 * max(float((order[index].double() - expected).abs().max()) for order in orders) + 2 * rounding
        error = float((actual.double() - expected).abs().max())
        if not error <= bound:  # also where it is not a number
            return f"{name} is off by {error:.2g}, {bound:.2g} is allowed"
    return None


def checked(attend: Attend, case: Case, inputs: Sequence[Tensor], weights: Tensor) -> str | None:
    """What is wrong with the first, the middle and the last head; None where nothing is."""
    try:
        found = with_gradients(attend(*inputs), inputs, weights)
    except Exception as error:
        return f"raised {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    batch, heads, _, _ = case.shape
    for place in sorted({0, batch * heads // 2, batch * heads - 1}):
        index = place // heads, place % heads
        wrong = excess(
            [each[index] for each in found],
            [each[index] for each in inputs],
            weights[index],
            is_causal=case.is_causal,
        )
        if wrong is not None:
            return f"wrong: {wrong} (sample {index[0]}, head {index[1]})"
    return None


def timed_ms(action: Callable[[], object], flushed: Tensor) -> float:
    flushed.zero_()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    action()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def measured(case: Case, *, dtype: torch.dtype, rounds: int) -> list[Row]:
    generator = torch.Generator("cuda").manual_seed(0)
    inputs = [
        torch.randn(case.shape, generator=generator, device="cuda", dtype=dtype).requires_grad_() for _ in range(3)
    ]
    weights = torch.randn(case.shape, generator=generator, device="cuda", dtype=dtype)
    able, no_time = contenders(case, inputs)
    for name, attend in list(able.items()):
        wrong = checked(attend, case, inputs, weights)
        if wrong is not None:
            no_time[name] = wrong
            del able[name]
    flushed = torch.empty(L2_BYTES, dtype=torch.uint8, device="cuda")
    rows = []
    for is_backward in (False, True):
        row = Row(case, is_backward, {name: [] for name in able}, no_time)
        actions = {name: _action(attend, inputs, weights, is_backward=is_backward) for name, attend in able.items()}
        for number in range(WARM_UP + rounds):
            for name, action in actions.items():
                time_ms = timed_ms(action, flushed)
                if number >= WARM_UP:
                    row.times_ms[name].append(time_ms)
        rows.append(row)
    return rows


def _action(attend: Attend, inputs: Sequence[Tensor], weights: Tensor, *, is_backward: bool) -> Callable[[], object]:
    if not is_backward:
        return torch.no_grad()(functools.partial(attend, *inputs))
    return functools.partial(torch.autograd.grad, attend(*inputs), inputs, weights, retain_graph=True)


def cell(row: Row, name: str) -> str:
    """Milliseconds, TFLOP/s and speed relative to the baseline; or why there is no time."""
    if name in row.no_time:
        return row.no_time[name]
    times = row.times_ms[name]
    median_ms = statistics.median(times)
    text = f"{median_ms:.3f} ms, {row.case.flops(is_backward=row.is_backward) / median_ms / 1e9:.0f} TFLOP/s"
    if name == BASELINE or BASELINE not in row.times_ms:
        return text
    ratios = [base / own for base, own in zip(row.times_ms[BASELINE], times, strict=True)]
    return f"{text}, {statistics.median(ratios):.2f}x"


def table(rows: Sequence[Row], *, header: str) -> str:
    names = (BASELINE, OURS, *LIBRARIES)
    lines = [
        "# Attention kernels", "", header, "",
        f"x: speed relative to {BASELINE}. Time of a call from Python, second-level cache cold.", "",
        "| head_dim | causal | tokens | pass | " + " | ".join(names) + " |",
        "|---" * (4 + len(names)) + "|",
    ]  # fmt: skip
    for row in rows:
        case = row.case
        direction = "backward" if row.is_backward else "forward"
        cells = " | ".join(cell(row, name) for name in names)
        lines.append(
            f"| {case.head_dim} | {'yes' if case.is_causal else 'no'} | {case.length} | {direction} | {cells} |"
        )
    return "\n".join(lines) + "\n"


def setting(*, dtype: torch.dtype, rounds: int) -> str:
    versions = {"torch": torch.__version__, "CUDA": str(torch.version.cuda), "Python": platform.python_version()}
    for package in ("triton", "flash-attn", "flash-attn-3", "flash-attn-4"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {torch.cuda.get_device_name()}, {listed}. {str(dtype).removeprefix('torch.')}, "
        f"{TOKENS} tokens a batch, heads of {HIDDEN} features together, medians of {rounds} rounds."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="where the table goes, in Markdown")
    parser.add_argument("--lengths", type=int, nargs="+", default=[2048, 4096, 8192, 16384])
    parser.add_argument("--head-dims", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--dtype", choices=["bfloat16", "float16"], default="bfloat16")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device: nothing was measured and nothing is written", file=sys.stderr)
        return 3
    dtype = getattr(torch, options.dtype)
    rows: list[Row] = []
    for head_dim in options.head_dims:
        for is_causal in (False, True):
            for length in options.lengths:
                found = measured(Case(head_dim, is_causal, length), dtype=dtype, rounds=options.rounds)
                for row in found:
                    cells = "; ".join(f"{name} {cell(row, name)}" for name in row.times_ms)
                    print(row.case, "backward" if row.is_backward else "forward", cells, flush=True)
                rows += found
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(table(rows, header=setting(dtype=dtype, rounds=options.rounds)))
    is_wrong = any(reason.startswith(("wrong", "raised")) for row in rows for reason in row.no_time.values())
    return 1 if is_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
