"""Inputs and outputs of a model in files: JSON, safetensors, and CSV where there is one table.

JSON          {"planet_parameters": [[1.0, 23.4, ...], ...]}, or {"inputs": {...}} as the inference API takes it
safetensors   one tensor per input, by its name
CSV           one row per sample, a header with the names of the columns
"""

import csv
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from astrobio.serving.inputs import InputError, InputSpec, checked, tensors_from_values
from astrobio.training.files import write_file

FORMATS = (".json", ".safetensors", ".csv")


def require_format(path: Path) -> None:
    """Raise InputError unless the name ends in one of `FORMATS`."""
    if path.suffix not in FORMATS:
        raise InputError(f"{path} is in no known format; its name must end in {', '.join(FORMATS)}")


def parsed_json(content: bytes) -> object:
    """What JSON holds; NaN and Infinity, which are not JSON, are refused.

    Raises:
        InputError: it is not JSON.
    """

    def refuse(constant: str) -> object:
        raise InputError(f"{constant} is not JSON; expected a finite number")

    try:
        return json.loads(content, parse_constant=refuse)
    except RecursionError as error:
        raise InputError("the JSON is nested too deeply") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"this is not JSON: {error}") from error
    except InputError:
        raise
    except ValueError as error:  # a whole number with thousands of digits
        raise InputError(f"the JSON holds a number that is too large: {error}") from error


def read_inputs(path: Path, specs: Sequence[InputSpec]) -> dict[str, Tensor]:
    """Checked inputs from a file.

    Raises:
        InputError: the file cannot be read, or what it holds is refused.
    """
    require_format(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    try:
        if path.suffix == ".json":
            return tensors_from_values(_without_envelope(parsed_json(content), specs), specs)
        if path.suffix == ".csv":
            return tensors_from_values(_table(content, specs), specs)
        return checked(_safetensors(content), specs)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def write_outputs(path: Path, outputs: Mapping[str, Tensor], units: Mapping[str, str]) -> None:
    """Write outputs, whole or not at all.

    Raises:
        InputError: the outputs do not fit the format.
        WriteError: the file cannot be written.
    """
    require_format(path)
    write_file(path, {".json": _as_json, ".csv": _as_csv, ".safetensors": _as_safetensors}[path.suffix](outputs, units))


def require_writable_format(path: Path, num_outputs: int) -> None:
    """Raise InputError where outputs of this number cannot be written in the format of the name."""
    require_format(path)
    if path.suffix == ".csv" and num_outputs != 1:
        raise InputError(f"{path}: the model has {num_outputs} outputs, CSV holds one; use .json or .safetensors")


def _without_envelope(document: object, specs: Sequence[InputSpec]) -> object:
    """What is in {"inputs": ...}, the body of a request; a model with an input of this name takes it as it is."""
    is_body = isinstance(document, Mapping) and set(document) == {"inputs"}
    if is_body and "inputs" not in {spec.name for spec in specs}:
        assert isinstance(document, Mapping)
        return document["inputs"]
    return document


def _safetensors(content: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except SafetensorError as error:
        raise InputError(f"this is not safetensors: {error}") from error


def _table(content: bytes, specs: Sequence[InputSpec]) -> dict[str, object]:
    if len(specs) != 1 or not specs[0].columns or len(specs[0].shape) != 2:
        raise InputError("the inputs of this model are not one table; use .json or .safetensors")
    (spec,) = specs
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"this is not CSV: {error}") from error
    header = [name.strip() for name in rows[0]] if rows else []
    if sorted(header) != sorted(spec.columns):
        raise InputError(f"the header is {', '.join(header) or 'missing'}; expected {', '.join(spec.columns)}")
    table = []
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise InputError(f"line {line} has {len(row)} fields, the header {len(header)}")
        by_name = dict(zip(header, row, strict=True))
        table.append([_number(by_name[name], f"line {line}, {name}") for name in spec.columns])
    if not table:
        raise InputError("there is a header and no row")
    return {spec.name: table}


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{where} is {text!r:.40}; expected a number") from error


def _as_json(outputs: Mapping[str, Tensor], units: Mapping[str, str]) -> bytes:
    values = {name: output.tolist() for name, output in outputs.items()}
    return (json.dumps({"outputs": values, "units": dict(units)}, allow_nan=False) + "\n").encode()


def _as_safetensors(outputs: Mapping[str, Tensor], units: Mapping[str, str]) -> bytes:
    from safetensors.torch import save

    return save({name: output.contiguous() for name, output in outputs.items()}, metadata=dict(units))


def _as_csv(outputs: Mapping[str, Tensor], units: Mapping[str, str]) -> bytes:
    """One row per number, all of them: its place in the output, and its value, which reads back as the same."""
    ((name, output),) = outputs.items()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    unit = f" [{units[name]}]" if name in units else ""
    places_of = ["sample", *(f"dim_{dim}" for dim in range(1, output.dim()))] if output.dim() else []
    writer.writerow([*places_of, name + unit])
    places = itertools.product(*(range(size) for size in output.shape))
    writer.writerows([*place, value] for place, value in zip(places, output.flatten().tolist(), strict=True))
    return text.getvalue().encode()
