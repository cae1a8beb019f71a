"""The command line `astrobio`: train, measure, ask and serve the models of this package.

A command's body is imported when it runs: `--help` must not load torch.
"""

import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INCOMPLETE = 3
_EXIT_ABORTED = 130  # what typer makes of Ctrl-C

_HELP = """Train, measure, ask and serve the models of this package.

\b
Exit codes:
  0  done
  1  the training diverged, or the model's answer is not finite
  2  usage error, or input that is refused; nothing was written
  3  stopped, a file could not be written, or an internal error; the last checkpoint is intact"""

app = typer.Typer(
    name="astrobio",
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunDirectory = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a run, as `astrobio train` wrote it.")]


def _examples(*commands: str) -> str:
    return "\n\n\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


@app.command(help="List what can be trained, with its presets." + _examples("astrobio tasks"))
def tasks() -> None:
    """List the tasks."""
    from astrobio.commands.listing import print_tasks

    print_tasks()


@app.command(
    help="List the models, or show the card of one."
    + _examples("astrobio models", "astrobio models climate_surrogate_small", "astrobio models climate")
)
def models(
    name: Annotated[
        str | None, typer.Argument(help="Show the card of this model, or of the one that this task trains.")
    ] = None,
) -> None:
    """List the models."""
    from astrobio.commands.listing import print_card, print_models

    if name is None:
        print_models()
    else:
        print_card(name)


@app.command(
    help="Train a model and measure it on held-out data. Ctrl-C saves the run; --resume goes on with it. The output "
    "folder holds the checkpoints, the loss curve (log.jsonl, and events/ for TensorBoard) and figures.json."
    + _examples(
        "astrobio train climate --preset fast",
        "astrobio train climate --output runs/climate --resume",
        "torchrun --nproc-per-node 2 -m astrobio.cli train climate",
    )
)
def train(
    task: Annotated[str, typer.Argument(metavar="TASK", help="One of `astrobio tasks`.")],
    preset: Annotated[str, typer.Option(help="How long and how fast to learn: fast or base.")] = "base",
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps, in the place of the preset's.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of everything random.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run.  [default: runs/TASK-PRESET-seedN]", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:INDEX.")] = "cpu",
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    accumulate: Annotated[int, typer.Option(min=1, help="Passes per step, each with its share of the batch.")] = 1,
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints.  [default: a tenth of all]")
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="Checkpoints to keep.")] = 3,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads per process.")] = None,
) -> None:
    """Train a model."""
    from astrobio.commands.training import train_task

    train_task(
        task,
        preset=preset,
        steps=steps,
        seed=seed,
        output=output,
        resume=resume,
        device=device,
        settings={
            "precision": precision,
            "accumulate": accumulate,
            "checkpoint_every": checkpoint_every,
            "keep": keep,
        },
        threads=threads,
    )


@app.command(
    "eval",
    help="Measure the newest checkpoint of a run on the held-out data of its task."
    + _examples("astrobio eval runs/climate-fast-seed0", "astrobio eval runs/climate-fast-seed0 --json"),
)
def evaluate(
    run_dir: RunDirectory,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a run."""
    from astrobio.commands.training import evaluate_run

    evaluate_run(run_dir, as_json=as_json)


@app.command(
    help="Ask the newest checkpoint of a run. Files are .json, .safetensors or, where the input is one table, .csv."
    + _examples("astrobio predict runs/climate-fast-seed0 --input planets.csv --output cycles.safetensors")
)
def predict(
    run_dir: RunDirectory,
    source: Annotated[Path, typer.Option("--input", help="File with the model's inputs.")],
    output: Annotated[Path, typer.Option("--output", help="File to write; must not exist.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Samples to compute at a time.")] = 256,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")] = False,
) -> None:
    """Ask a model."""
    from astrobio.commands.asking import predict_file

    predict_file(run_dir, source, output, batch_size=batch_size, force=force)


@app.command(
    help="Serve the newest checkpoint of a run over HTTP: POST /predict, GET /card, /health, /metrics; needs the extra "
    "`serve`." + _examples("astrobio serve runs/climate-fast-seed0 --port 8000")
)
def serve(
    run_dir: RunDirectory,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    max_batch: Annotated[int, typer.Option(min=1, help="Samples per request.")] = 256,
    max_size: Annotated[
        int, typer.Option(min=1, help="Length of a sequence, or nodes or edges of a network, per request.")
    ] = 2048,
    max_values: Annotated[int, typer.Option(min=1, help="Numbers in all inputs of a request.")] = 1_000_000,
    max_body_mb: Annotated[float, typer.Option(min=0.001, help="Size of a request in 10^6 bytes.")] = 8.0,
    max_waiting: Annotated[int, typer.Option(min=1, max=48, help="Requests that wait while one is computed.")] = 32,
    max_seconds: Annotated[
        float, typer.Option(min=0.1, help="Time to answer a request; what takes longer is 503.")
    ] = 60.0,
) -> None:
    """Serve a model."""
    from astrobio.commands.asking import serve_run
    from astrobio.serving.request_limits import RequestLimits

    limits = RequestLimits(
        samples=max_batch,
        size=max_size,
        values=max_values,
        body_bytes=round(max_body_mb * 1e6),
        waiting=max_waiting,
        seconds=max_seconds,
    )
    serve_run(run_dir, host=host, port=port, limits=limits)


def _leave(message: object, code: int) -> NoReturn:
    typer.echo(f"astrobio: {' '.join(str(message).split())}", err=True)
    raise SystemExit(code)


def main() -> None:
    """Run the command line; every way out has the exit code that `--help` states."""
    try:
        app()
    except SystemExit as left:
        if left.code != _EXIT_ABORTED:
            raise
        _leave("stopped", EXIT_INCOMPLETE)
    except KeyboardInterrupt:  # while a command's modules load
        _leave("stopped", EXIT_INCOMPLETE)
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        raise SystemExit(EXIT_INCOMPLETE) from None
    except Exception as error:
        if (code := _exit_code(error)) is not None:
            _leave(error, code)
        traceback.print_exc()  # uncaught it would leave with 1, which says "diverged"
        _leave("internal error; please report it", EXIT_INCOMPLETE)


def _exit_code(error: Exception) -> int | None:
    """The exit code for what the user can understand in one line; None for a defect of ours."""
    from astrobio.training.errors import Interrupted, RunFolderError, UsageError, WriteError

    if isinstance(error, FloatingPointError):
        return EXIT_FAILED
    if isinstance(error, UsageError | RunFolderError):
        return EXIT_USAGE
    if isinstance(error, WriteError | Interrupted):
        return EXIT_INCOMPLETE
    return None


if __name__ == "__main__":
    main()
