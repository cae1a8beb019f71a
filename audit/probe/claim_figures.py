"""Figures that the target computes of itself: by a callable, or by a command that writes JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import specs
from .named import named
from .phases import phase

_MAX_JSON_BYTES = 2**20
_MAX_SHOWN = 1000


def outcomes(measure: str, seed: int) -> dict[str, object]:
    """Return how many samples there are and how many are right, of the bool for each that `measure(seed)` returns."""
    found = _measured(measure, seed)
    listed = found.tolist() if hasattr(found, "tolist") else found
    if not isinstance(listed, Iterable):
        raise TypeError(f"{measure} returned {type(found).__name__}, not one bool for each sample")
    each = list(listed)
    wrong = next((item for item in each if not isinstance(item, bool)), None)
    if wrong is not None:
        raise TypeError(f"{measure} returned {type(wrong).__name__} for a sample, not a bool")
    return {"right": sum(each), "samples": len(each)}


def figure(measure: str, seed: int) -> dict[str, object]:
    """Return the number that `measure(seed)` returns; a tensor with one element is one."""
    found = _measured(measure, seed)
    return {"value": _number(found.item() if hasattr(found, "item") else found, measure)}


def command(
    arguments: list[str],
    figure: str,
    samples: str | None,
    figure_file: str | None,
    seed: int,
    scratch: str,
    source: str,
    root: str,
) -> dict[str, object]:
    """Run a command in the folder `scratch`, and return the figure that it writes, and the number of samples if asked.

    In its arguments and in `figure_file`, {python}, {scratch}, {seed} and {root} stand for the interpreter, the folder,
    the seed and the target's root. The target's source comes first on the path of its Python.
    """
    values = {"python": sys.executable, "scratch": scratch, "seed": str(seed), "root": root}
    printed, problems = Path(scratch, "standard-output"), Path(scratch, "standard-error")
    path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    with phase("command"):
        with printed.open("wb") as out, problems.open("wb") as err:
            status = subprocess.run(
                [_filled(argument, values) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=scratch,
                env={**os.environ, "PYTHONPATH": path},
                check=False,
            ).returncode
        if status != 0:
            raise RuntimeError(f"it left with status {status}: {_end(problems)}")
    with phase("figure"):
        written = _object(Path(scratch, _filled(figure_file, values))) if figure_file else _last_line(printed)
        reply: dict[str, object] = {"value": _number(_at(written, figure), figure)}
        if samples is not None:
            reply["samples"] = _number(_at(written, samples), samples)
    return reply


def _measured(measure: str, seed: int) -> object:
    with phase("import"):
        function = named(measure)
    specs.seed_everything(seed)
    with phase("measure"):
        return function(seed)


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {type(value).__name__}, not a number")
    return float(value)


def _filled(argument: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        argument = argument.replace(f"{{{name}}}", value)
    return argument


def _object(path: Path) -> object:
    return json.loads(_content(path))


def _last_line(path: Path) -> object:
    lines = _content(path).strip().splitlines()
    if not lines:
        raise ValueError("the command printed nothing")
    return json.loads(lines[-1])


def _content(path: Path) -> str:
    size = path.stat().st_size
    if size > _MAX_JSON_BYTES:
        raise ValueError(f"{path.name} has {size} bytes; the figure is looked for in at most {_MAX_JSON_BYTES}")
    return path.read_text()


def _at(written: object, key: str) -> object:
    for part in key.split("."):
        if not isinstance(written, Mapping) or part not in written:
            raise KeyError(f"{key} is not in what the command wrote")
        written = written[part]
    return written


def _end(path: Path) -> str:
    return path.read_bytes()[-_MAX_SHOWN:].decode(errors="replace").strip() or "nothing on standard error"
