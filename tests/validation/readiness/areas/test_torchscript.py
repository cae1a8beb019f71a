"""TorchScript archives as torch.jit.save writes them, and the same with one thing wrong."""

import io
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from audit.results import Outcome

from .written import outcome, report_of, write


class Net(nn.Module):
    """A layer, a buffer, a tensor that is no parameter, and a constant of the trace."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 4)
        self.register_buffer("offset", torch.arange(4.0))
        self.plain = torch.randn(2, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * self.plain + self.offset


def exported(model: nn.Module, *, scripted: bool = True, frozen: bool = False) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch points to torch.export
        made = torch.jit.script(model.eval()) if scripted else torch.jit.trace(model.eval(), torch.ones(2, 3))
        torch.jit.save(torch.jit.freeze(made) if frozen else made, buffer)
    return buffer.getvalue()


def edited(content: bytes, changed: Callable[[str, bytes], bytes]) -> bytes:
    """Return the archive with files replaced, and the checksums of what they are now."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(buffer, "w") as made:
        for name in given.namelist():
            made.writestr(name, changed(name, given.read(name)))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("options", "tensors"),
    [({}, 4), ({"scripted": False}, 4), ({"frozen": True}, 4)],
    ids=["scripted", "traced", "frozen"],
)
def test_an_archive_passes_with_its_state_and_its_constants(
    tmp_path: Path, options: dict[str, bool], tensors: int
) -> None:
    report = report_of(write(tmp_path, {"model.pt": exported(Net(), **options)}), "checkpoints")
    found = {each.check.partition(".")[2]: each for each in report.results}
    assert {name: (each.outcome, each.reason) for name, each in found.items()} == dict.fromkeys(
        ("whole", "layout", "pickled_names", "finite", "constant"), (Outcome.PASSED, None)
    )
    assert found["layout"].evidence.measured == tensors
    assert "format: TorchScript" in (found["layout"].evidence.bound_origin or "")


@pytest.mark.parametrize("name", ["offset", "plain", "layer.weight"])
@pytest.mark.parametrize("frozen", [False, True])
def test_one_element_that_is_not_finite_fails(tmp_path: Path, name: str, frozen: bool) -> None:
    model = Net()
    tensors = {"offset": model.offset, "plain": model.plain, "layer.weight": model.layer.weight.detach()}
    tensors[name].view(-1)[1] = float("nan")
    found = outcome(tmp_path, "checkpoints.finite", {"model.pt": exported(model, frozen=frozen)})
    assert found[0] is Outcome.FAILED
    assert "(1 NaN, 0 infinite)" in found[1]
    assert found[1].startswith("constants." if frozen else name)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_an_archive_that_was_cut_off_fails(tmp_path: Path, share: float) -> None:
    content = exported(Net())
    found = outcome(tmp_path, "checkpoints.layout", {"model.pt": content[: int(share * len(content))]})
    assert found[0] is Outcome.FAILED


@pytest.mark.parametrize("folder", ["data", "constants"])
def test_a_storage_that_is_too_small_fails(tmp_path: Path, folder: str) -> None:
    content = exported(Net(), frozen=folder == "constants")
    short = edited(content, lambda name, held: held[:-4] if f"/{folder}/" in name else held)
    found = outcome(tmp_path, "checkpoints.layout", {"model.pt": short})
    assert found[0] is Outcome.FAILED
    assert "the storage of" in found[1]


class Calls:
    """Is pickled as a call of os.system."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def test_a_name_that_no_class_of_the_archive_has_fails(tmp_path: Path) -> None:
    def changed(name: str, held: bytes) -> bytes:
        return pickle.dumps((Calls(), torch.float32), 2) if name.endswith("/constants.pkl") else held

    found = outcome(tmp_path, "checkpoints.pickled_names", {"model.pt": edited(exported(Net()), changed)})
    assert found == (Outcome.FAILED, f"loading the file imports {os.system.__module__}.system")


def test_code_without_a_tensor_is_not_judged(tmp_path: Path) -> None:
    found = outcome(tmp_path, "checkpoints.layout", {"model.pt": exported(nn.ReLU())})
    assert found == (Outcome.SKIPPED, "a TorchScript archive of code alone, which is not read")
