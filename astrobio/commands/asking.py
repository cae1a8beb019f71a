"""`astrobio predict` and `astrobio serve`."""

import os
import sys
from pathlib import Path

import typer

from astrobio.serving.files import read_inputs, require_writable_format, write_outputs
from astrobio.serving.inputs import InputError
from astrobio.serving.loaded_run import Predictor, load_trained
from astrobio.serving.request_limits import RequestLimits
from astrobio.training.errors import UsageError


def predict_file(run_dir: Path, source: Path, output: Path, *, batch_size: int, force: bool) -> None:
    """Answer the inputs in a file with a file.

    Raises:
        UsageError: an input is refused, or the output file exists.
        RunFolderError: there is no run to ask.
        FloatingPointError: an answer is not finite.
        WriteError: the output cannot be written.
    """
    if output.exists() and not force:
        raise UsageError(f"{output} exists; choose another name, or --force to replace it")
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent} is not a folder")
    try:
        predictor = Predictor(load_trained(run_dir, report=_to_stderr))
        require_writable_format(output, len(predictor.card.outputs))
        inputs = read_inputs(source, predictor.specs)
        outputs = predictor.answers(inputs, batch_size=batch_size)
        write_outputs(output, outputs, predictor.units(outputs))
    except InputError:
        raise
    except (ValueError, TypeError, IndexError) as error:
        raise UsageError(f"the model refuses {source}: {error}") from error
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in outputs.items())
    typer.echo(f"{output}: {shapes}")


def serve_run(run_dir: Path, *, host: str, port: int, limits: RequestLimits) -> None:
    """Serve a run until the process is told to stop.

    Raises:
        UsageError: the extra `serve` is not installed, or the address is taken.
        RunFolderError: there is no run to serve.
    """
    try:
        from astrobio.serving.server import run_server
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn"):
            raise
        raise UsageError(
            f"{error.name} is not installed; install the extra: pip install 'astrobio-audit[serve]'"
        ) from error
    predictor = Predictor(load_trained(run_dir, report=_to_stderr))
    try:
        run_server(predictor, host=host, port=port, limits=limits)
    except KeyboardInterrupt:  # Ctrl-C is how a server is meant to end; uvicorn has let go of it in good order
        return
    except OSError as error:
        told = error.strerror if error.errno is None else os.strerror(error.errno)  # Python adds to some
        raise UsageError(f"cannot listen on {host} port {port}: {told}") from error


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
