import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from astrobio.registry import registered_model
from astrobio.serving.files import parsed_json, read_inputs, require_writable_format, write_outputs
from astrobio.serving.inputs import InputError, input_specs

SPECS = input_specs(registered_model("climate_surrogate_small"))
COLUMNS = SPECS[0].columns
EARTH = [1.0, 23.446, 0.016724, 282.04, 330.0, 0.55, 50.0]
HEADER = ",".join(COLUMNS)


def test_the_same_planet_is_read_from_every_format(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"planet_parameters": [EARTH]}))
    (tmp_path / "a.csv").write_text(HEADER + "\n" + ",".join(map(str, EARTH)) + "\n\n")
    shuffled = list(zip(COLUMNS, map(str, EARTH), strict=True))[::-1]
    (tmp_path / "b.csv").write_text("\ufeff" + "\r\n".join(", ".join(row) for row in zip(*shuffled, strict=True)))
    save_file({"planet_parameters": torch.tensor([EARTH])}, tmp_path / "a.safetensors")
    for name in ("a.json", "a.csv", "b.csv", "a.safetensors"):
        table = read_inputs(tmp_path / name, SPECS)["planet_parameters"]
        assert torch.equal(table, torch.tensor([EARTH])), name


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "is in no known format; its name must end in .json, .safetensors, .csv"),
        ("a.json", b"", "this is not JSON"),
        ("a.json", b"\xff", "this is not JSON"),
        ("a.json", b"[NaN]", "NaN is not JSON"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.json", b"1" * 10_000, "a number that is too large"),
        ("a.json", b"{}", "planet_parameters is missing"),
        ("a.safetensors", b"<!DOCTYPE html>", "this is not safetensors"),
        ("a.safetensors", b"", "this is not safetensors"),
        ("a.csv", b"", "the header is missing; expected instellation"),
        ("a.csv", b"a,b\n1,2\n", "the header is a, b; expected instellation"),
        ("a.csv", HEADER.encode(), "there is a header and no row"),
        ("a.csv", HEADER.encode() + b"\n1,2\n", "line 2 has 2 fields, the header 7"),
        ("a.csv", HEADER.encode() + b"\n1,2,x,4,5,6,7\n", "line 2, eccentricity is 'x'; expected a number"),
        ("a.csv", HEADER.encode() + b"\n1,2,nan,4,5,6,7\n", r"planet_parameters\[0\]\[2\] is not a number"),
        ("a.csv", b'"' + HEADER.encode(), "this is not CSV"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        read_inputs(tmp_path / name, SPECS)
    assert str(raised.value).startswith(str(tmp_path / name))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b.json cannot be read: No such file or directory"):
        read_inputs(tmp_path / "b.json", SPECS)


def test_a_model_whose_inputs_are_no_table_is_not_asked_by_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match=r"the inputs of this model are not one table; use .json or .safetensors"):
        read_inputs(tmp_path / "a.csv", [*SPECS, *SPECS])


def test_outputs_are_written_in_every_format(tmp_path: Path) -> None:
    outputs = {"temperature": torch.arange(8.0).view(2, 2, 2) / 3}
    for suffix in ("json", "safetensors", "csv"):
        write_outputs(tmp_path / f"a.{suffix}", outputs, {"temperature": "K"})
    document = parsed_json((tmp_path / "a.json").read_bytes())
    assert document == {"outputs": {"temperature": outputs["temperature"].tolist()}, "units": {"temperature": "K"}}
    assert torch.equal(load_file(tmp_path / "a.safetensors")["temperature"], outputs["temperature"])
    header, *rows = (tmp_path / "a.csv").read_text().splitlines()
    assert header == "sample,dim_1,dim_2,temperature [K]"
    assert len(rows) == 8
    assert rows[5] == f"1,0,1,{outputs['temperature'][1, 0, 1].item()}"


def test_the_body_of_a_request_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"inputs": {"planet_parameters": [EARTH]}}))
    assert torch.equal(read_inputs(tmp_path / "a.json", SPECS)["planet_parameters"], torch.tensor([EARTH]))
    (tmp_path / "a.json").write_text(json.dumps({"inputs": [EARTH]}))
    with pytest.raises(InputError, match="the inputs must be an object with: planet_parameters"):
        read_inputs(tmp_path / "a.json", SPECS)
    (tmp_path / "a.json").write_text(json.dumps({"inputs": {"planet_parameters": [EARTH]}, "seed": 1}))
    with pytest.raises(InputError, match="planet_parameters is missing"):
        read_inputs(tmp_path / "a.json", SPECS)


def test_a_model_with_an_input_named_inputs_takes_it_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"inputs": [EARTH]}))
    assert read_inputs(tmp_path / "a.json", [replace(SPECS[0], name="inputs")])["inputs"].shape == (1, 7)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 2, 5)])
def test_csv_holds_every_number_of_an_output(tmp_path: Path, shape: tuple[int, ...]) -> None:
    output = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    write_outputs(tmp_path / "a.csv", {"cube": output}, {})
    header, *rows = [line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines()]
    assert header == [*("sample", "dim_1", "dim_2", "dim_3")[: len(shape)], "cube"]
    read = torch.full(shape, torch.nan)
    for *place, value in rows:
        read[tuple(map(int, place))] = float(value)
    assert torch.equal(read, output)


def test_csv_holds_one_output(tmp_path: Path) -> None:
    require_writable_format(tmp_path / "a.csv", 1)
    with pytest.raises(InputError, match="the model has 2 outputs, CSV holds one"):
        require_writable_format(tmp_path / "a.csv", 2)
