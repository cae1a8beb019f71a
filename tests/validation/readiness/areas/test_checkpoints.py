"""Files of weights as torch and safetensors write them, and the same with one thing wrong."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_safetensors

from audit.results import Outcome

from .written import SETTINGS, outcome, report_of, results, write

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 987654\n"
SPECS = """
import torch
from zoo.model import Net

MODELS = {
    "net": {
        "class": "zoo.model:Net",
        "build": Net,
        "inputs": lambda batch_size, generator: {"x": torch.randn(batch_size, 3, generator=generator)},
        "loss": lambda output, inputs: output.square().mean(),
    }
}
ATTENTION = {}
"""
MODEL = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x)
"""


class Calls:
    """Is pickled as a call of os.system."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def state() -> dict[str, Any]:
    torch.manual_seed(0)
    return {
        "layer.weight": torch.randn(2, 3),
        "layer.bias": torch.zeros(2),
        "steps": torch.tensor(7),
        "half": torch.randn(4, 4).bfloat16().t(),
    }


def saved(value: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def legacy(value: object) -> bytes:
    return saved(value, _use_new_zipfile_serialization=False)


FORMATS = {
    "model.pt": saved,
    "old.pt": legacy,
    "model.safetensors": lambda value: save_safetensors({key: each.contiguous() for key, each in value.items()}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_weights_passes_and_its_digest_and_size_are_recorded(tmp_path: Path, name: str) -> None:
    content = FORMATS[name](state())
    write(tmp_path, {name: content})
    found = {each.check: each for each in report_of(tmp_path, "checkpoints").results}
    names = Outcome.NOT_APPLICABLE if name.endswith(".safetensors") else Outcome.PASSED
    assert {check: each.outcome for check, each in found.items()} == {
        "checkpoints.whole": Outcome.PASSED,
        "checkpoints.layout": Outcome.PASSED,
        "checkpoints.pickled_names": names,
        "checkpoints.finite": Outcome.PASSED,
        "checkpoints.constant": Outcome.PASSED,
    }, [each.reason for each in found.values()]
    assert found["checkpoints.whole"].evidence.measured == len(content)
    assert found["checkpoints.layout"].evidence.measured == 4
    digest = found["checkpoints.finite"].subject.digest
    assert digest is not None
    assert digest.startswith("sha256:")


@pytest.mark.parametrize(("wrong", "words"), [(float("nan"), "1 NaN"), (float("inf"), "1 infinite")])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_one_element_that_is_not_finite_fails(
    tmp_path: Path, name: str, wrong: float, words: str, dtype: torch.dtype
) -> None:
    weights = {**state(), "wide": torch.ones(3, 4, dtype=dtype)}
    weights["wide"][2, 1] = wrong
    found = outcome(tmp_path, "checkpoints.finite", {name: FORMATS[name](weights)})
    assert found[0] is Outcome.FAILED
    assert (
        f"wide ({words.replace('1 NaN', '1 NaN, 0 infinite').replace('1 infinite', '0 NaN, 1 infinite')})" in found[1]
    )


def test_a_mask_of_minus_infinity_is_finite_enough(tmp_path: Path) -> None:
    mask = torch.full((4, 4), float("-inf")).triu(1)
    assert outcome(tmp_path, "checkpoints.finite", {"model.pt": saved({**state(), "mask": mask})})[0] is Outcome.PASSED


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e5m2fnuz, torch.float8_e4m3fnuz]
)
def test_nan_of_eight_bits_is_seen(tmp_path: Path, dtype: torch.dtype) -> None:
    weights = torch.arange(4.0).to(dtype)
    assert outcome(tmp_path / "right", "checkpoints.finite", {"model.pt": saved({"w": weights})})[0] is Outcome.PASSED
    wrong = torch.tensor([0.0, float("nan"), 1.0, 2.0]).to(dtype)
    assert outcome(tmp_path / "wrong", "checkpoints.finite", {"model.pt": saved({"w": wrong})})[0] is Outcome.FAILED


def test_a_matrix_of_zeros_fails_and_an_optimizers_does_not(tmp_path: Path) -> None:
    zeros = torch.zeros(2, 3)
    right = {"model": state(), "optimizer": {"state": {0: {"exp_avg": zeros}}}}
    assert outcome(tmp_path / "right", "checkpoints.constant", {"a.pt": saved(right)})[0] is Outcome.PASSED
    wrong = {**state(), "layer.weight": zeros}
    found = outcome(tmp_path / "wrong", "checkpoints.constant", {"a.pt": saved(wrong)})
    assert found == (Outcome.FAILED, "every element is the same in layer.weight")


@pytest.mark.parametrize(
    "content", [saved({"a": torch.ones(1), "b": Calls()}), legacy({"b": Calls()}), pickle.dumps(Calls())]
)
def test_a_pickle_that_calls_something_fails_and_does_not_run(tmp_path: Path, content: bytes) -> None:
    results_ = results(tmp_path, "checkpoints.pickled_names", {"model.pt": content})
    if b"torch" in content and b"_rebuild" in content:
        assert [(each.outcome, each.reason) for each in results_] == [
            (Outcome.FAILED, f"loading the file imports {os.system.__module__}.system")
        ]
    else:
        assert [each.outcome for each in results_] in ([Outcome.SKIPPED], [Outcome.FAILED])


def test_a_pickled_model_is_named(tmp_path: Path) -> None:
    found = outcome(tmp_path, "checkpoints.pickled_names", {"model.pt": saved(torch.nn.Linear(2, 2))})
    assert found == (
        Outcome.FAILED,
        "loading the file imports torch.nn.modules.linear.Linear",
    )


def test_what_torch_takes_with_weights_only_is_allowed() -> None:
    from torch._weights_only_unpickler import _get_allowed_globals

    from validation.readiness.checkpoints.allowed import is_allowed

    assert [name for name in _get_allowed_globals() if not is_allowed(name)] == []
    assert not any(
        map(is_allowed, ("os.system", "torch._utils._rebuild", "torch.load", "torch.hub.load", "builtins.eval"))
    )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_a_file_that_was_cut_off_fails(tmp_path: Path, name: str, share: float) -> None:
    content = FORMATS[name]({**state(), "wide": torch.randn(40, 40)})
    found = outcome(tmp_path, "checkpoints.layout", {name: content[: int(share * len(content))]})
    assert found[0] is Outcome.FAILED, found


def test_a_changed_byte_is_seen_by_the_checksum(tmp_path: Path) -> None:
    content = bytearray(saved({"w": torch.arange(4096.0)}))
    content[content.index(struct.pack("<f", 2048.0)) + 1] ^= 1
    found = outcome(tmp_path, "checkpoints.finite", {"model.pt": bytes(content)})
    assert found[0] is Outcome.FAILED
    assert "another checksum" in found[1]


@pytest.mark.parametrize(
    ("files", "expected", "words"),
    [
        ({"model.pt": POINTER}, Outcome.FAILED, "git-LFS pointer for 987654 bytes"),
        ({"model.pt": b""}, Outcome.FAILED, "empty"),
        ({"model.safetensors": b"<!doctype html><html>404</html>"}, Outcome.FAILED, "error page"),
        ({}, Outcome.NOT_APPLICABLE, "no file of weights"),
    ],
)
def test_what_stands_in_for_weights_fails(tmp_path: Path, files: dict[str, Any], expected: Outcome, words: str) -> None:
    found = outcome(tmp_path, "checkpoints.whole", files)
    assert found[0] is expected
    assert words in found[1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.gguf", b"GGUF\x01\x00\x00\x00"),
        ("model.bin", b"something else"),
        ("model.pt", saved({"w": torch.eye(2).to_sparse()})),
    ],
)
def test_a_format_that_is_not_read_is_not_judged(tmp_path: Path, name: str, content: bytes) -> None:
    kinds = {each.check: each.outcome for each in report_of(write(tmp_path, {name: content}), "checkpoints").results}
    assert kinds["checkpoints.whole"] is Outcome.PASSED
    assert kinds["checkpoints.finite"] in (Outcome.SKIPPED, Outcome.PASSED)
    if not name.endswith(".pt"):
        assert kinds["checkpoints.layout"] is Outcome.SKIPPED


def model_project(weights: object, **declared: str) -> dict[str, Any]:
    table = "".join(f'{key} = "{value}"\n' for key, value in {"path": "w.pt", "model": "net", **declared}.items())
    return {
        "zoo/model.py": MODEL,
        "zoo/specs.py": SPECS,
        "pyproject.toml": f'{SETTINGS}specs = "zoo.specs"\n[[tool.astrobio-audit.checkpoints]]\n{table}',
        "w.pt": saved(weights),
    }


def test_weights_are_compared_with_the_model_that_they_are_declared_for(tmp_path: Path) -> None:
    right = {"layer.weight": torch.randn(2, 3), "layer.bias": torch.randn(2)}
    check = "checkpoints.fits_model"
    assert outcome(tmp_path / "a", check, model_project(right))[0] is Outcome.PASSED
    assert outcome(tmp_path / "b", check, model_project({"state_dict": right, "epoch": 3}))[0] is Outcome.PASSED
    assert outcome(tmp_path / "c", check, model_project({"ema": {"net": right}}, key="ema.net"))[0] is Outcome.PASSED
    wide = {**right, "layer.weight": torch.randn(2, 4)}
    found = outcome(tmp_path / "d", check, model_project(wide))
    assert found == (
        Outcome.FAILED,
        "layer.weight is float32 [2, 4] in the file and float32 [2, 3] in the model",
    )
    less = {"layer.weight": right["layer.weight"]}
    assert "layer.bias is absent in the file" in outcome(tmp_path / "e", check, model_project(less))[1]
    assert outcome(tmp_path / "f", check, model_project(right, model="other"))[0] is Outcome.ERROR


def test_declared_weights_that_are_not_there_fail(tmp_path: Path) -> None:
    files = model_project({}, path="gone.pt")
    del files["w.pt"]
    found = outcome(tmp_path, "checkpoints.whole", files)
    assert found[0] is Outcome.FAILED
    assert "does not hold it" in found[1]


@pytest.mark.parametrize("form", [saved, legacy])
def test_a_checkpoint_of_a_training_run_passes(tmp_path: Path, form: Any) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    tied = torch.nn.Parameter(torch.randn(3, 3))
    content = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "parameters": [tied, tied, tied.detach()[1:, :2], tied.detach().expand(2, 3, 3)],
        "numbers": (1, 2.5, None, True, "text", {"nested": [torch.Size([1, 2]), torch.float16, torch.device("cpu")]}),
    }
    report = report_of(write(tmp_path, {"run/last.pt": form(content)}), "checkpoints")
    assert {each.check: (each.outcome, each.reason) for each in report.results} == dict.fromkeys(
        [f"checkpoints.{name}" for name in ("whole", "layout", "pickled_names", "finite", "constant")],
        (Outcome.PASSED, None),
    )


def test_vectors_may_be_constant(tmp_path: Path) -> None:
    found = outcome(
        tmp_path, "checkpoints.constant", {"a.pt": saved({"bias": torch.zeros(9), "row": torch.ones(1, 9)})}
    )
    assert found[0] is Outcome.NOT_APPLICABLE


def test_a_torchscript_archive_of_code_alone_is_not_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("a/data.pkl", pickle.dumps({}))
        made.writestr("a/constants.pkl", pickle.dumps(()))
    found = outcome(tmp_path, "checkpoints.layout", {"a.pt": buffer.getvalue()})
    assert found[0] is Outcome.SKIPPED
    assert "TorchScript" in found[1]
