"""Adds `astrobio-audit bench`. Its body is imported when it runs, so that `--help` stays fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from audit.options import (
    CacheOption,
    ConfigOption,
    GatewayOption,
    JsonOption,
    PackageOption,
    PythonOption,
    QuietOption,
    SeedOption,
    TargetOption,
    add_command,
    named_path,
)
from validation.benchmark.presets import Preset

LATEST = Path("reports/latest")


def _many(name: str, text: str, metavar: str) -> object:
    return typer.Option(name, metavar=metavar, help=f"{text}; may be repeated, and replaces the preset's.")


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What the options of `bench` were set to."""

    target: TargetOption = None
    package: PackageOption = None
    python: PythonOption = None
    config: ConfigOption = None
    as_json: JsonOption = False
    quiet: QuietOption = False
    seed: SeedOption = None
    cache: CacheOption = True
    gateway: GatewayOption = None
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", parser=named_path, help="Where JSON, Markdown, HTML and plots are written."
        ),
    ] = LATEST
    preset: Annotated[Preset, typer.Option("--preset", help="The grid; the flags below replace its axes.")] = (
        Preset.QUICK
    )
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="cpu|cuda|cuda:N", help="Where it is timed; cpu, or cuda with the preset gpu."
        ),
    ] = None
    backend: Annotated[
        list[str] | None, typer.Option("--backend", metavar="NAME", help="Time this one only; may be repeated.")
    ] = None
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="Time this model of the specs only; may be repeated."),
    ] = None
    models: Annotated[bool, typer.Option("--models/--no-models", help="Whether models of the specs are timed.")] = True
    batch: Annotated[list[int] | None, _many("--batch", "Samples in a batch", "B")] = None
    heads: Annotated[list[str] | None, _many("--heads", "Query heads and key heads", "H[:HKV]")] = None
    length: Annotated[list[int] | None, _many("--length", "Keys, and queries but in decode", "L")] = None
    head_dim: Annotated[list[int] | None, _many("--head-dim", "Features of a head", "D")] = None
    causal: Annotated[bool | None, typer.Option("--causal/--full", help="Causal cases only, or none.")] = None
    window: Annotated[list[int] | None, _many("--window", "Width of a window, 0 for none", "W")] = None
    dtype: Annotated[list[str] | None, _many("--dtype", "float32, bfloat16, float16 or float64", "NAME")] = None
    mode: Annotated[
        list[str] | None, _many("--mode", "forward, backward, decode or training_step (of models)", "NAME")
    ] = None
    model_batch: Annotated[
        int | None, typer.Option("--model-batch", metavar="B", min=1, help="Samples in a batch of a model.")
    ] = None
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0.001, max=3600, help="Samples of a row take this at most.")
    ] = 2.0
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, max=100, help="Turns that the backends of a case take.")
    ] = 5
    warm_up: Annotated[int, typer.Option("--warm-up", metavar="N", min=1, help="Calls before the first sample.")] = 3
    relative_error: Annotated[
        float, typer.Option("--relative-error", min=0.0001, max=1, help="Of the median, at which a row is settled.")
    ] = 0.005
    graph: Annotated[bool, typer.Option("--graph", help="Time replays of CUDA graphs, without Python's launches.")] = (
        False
    )
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="NAME", help="Backend that others are set against.")
    ] = "eager"
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Of torch on a CPU; the default is all cores.")
    ] = None
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="S", min=1, help="A call into the target, compiling included.")
    ] = 300.0
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="S", min=0, help="How long another benchmark on the device is waited for."),
    ] = 600.0
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what a run that was cut short has left.")] = (
        False
    )
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="OLD.json", help="Compare with this earlier benchmark.")
    ] = None
    practical: Annotated[
        float, typer.Option("--practical", min=0, max=10, help="Change below which there is no regression, a share.")
    ] = 0.05
    other_hardware: Annotated[
        bool, typer.Option("--other-hardware", help="Compare even what was measured on other hardware.")
    ] = False
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="NEW.json", help="Measure nothing: compare, draw or publish this benchmark."),
    ] = None
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a benchmark and leave.")] = False
    publish: Annotated[
        bool, typer.Option("--publish", help="Write reports/benchmarks/<device>.md and .json in the target.")
    ] = False


def _bench(options: BenchOptions) -> None:
    from validation.benchmark.bench import run_bench

    run_bench(options)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    add_command(
        app,
        BenchOptions,
        name="bench",
        summary="Time attention backends and models: right ones only, cold caches, every sample kept. Leaves with 1 "
        "for a wrong backend or a regression, with 3 where something has no time that should.",
        examples_of=[
            "astrobio-audit bench",
            "astrobio-audit bench --preset cpu --no-models --backend eager --backend sdpa",
            "astrobio-audit bench --length 1024 --length 4096 --heads 32:8 --dtype bfloat16 --mode decode",
            "astrobio-audit bench --compare reports/benchmarks/my-gpu.json",
            "astrobio-audit bench --preset gpu --publish",
        ],
        run=_bench,
    )
