"""A class that is a whole model is written out as an entry of MODELS, by which it is built, fed and differentiated."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.attention.spec.stub import spec_stub
from audit.probe.guess import whole
from audit.probe.guess.find import find

NAME = "stubbed_models"
SOURCE = """
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Output:
    loss: torch.Tensor | None
    logits: torch.Tensor


class WithOutput(nn.Module):
    def __init__(self, vocab_size: int = 50):
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, 4)

    def forward(self, input_ids, labels=None):
        return Output(None, self.tokens(input_ids))


class Classifier(nn.Module):
    def __init__(self, width: int, classes: int = 4, act=nn.GELU):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width, width), act(), nn.Linear(width, classes))

    def forward(self, x):
        return self.body(x)


class Language(nn.Module):
    def __init__(self, vocab_size: int = 50, dim: int = 16):
        super().__init__()
        self.tokens, self.out = nn.Embedding(vocab_size, dim), nn.Linear(dim, vocab_size)

    def forward(self, input_ids, attention_mask):
        return {"logits": self.out(self.tokens(input_ids) * attention_mask[..., None])}


class Image(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, image, t):
        return (self.conv(image) + t[:, None, None, None]).mean((2, 3)), t


class Encoder(nn.Module):
    def __init__(self, dim: int, num_heads: int = 4):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(dim, num_heads, batch_first=True)

    def forward(self, x):
        return self.layer(x)


class Padded(nn.Module):
    def __init__(self, features: int = 8):
        super().__init__()
        self.layer = nn.Linear(features, 4)

    def forward(self, frames, lengths):
        kept = torch.arange(frames.shape[1]) < lengths[:, None]
        return (self.layer(frames) * kept[..., None]).sum(1) / lengths[:, None], lengths


class Remote(nn.Module):
    def __init__(self, address):
        raise RuntimeError("only on the cluster")
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / f"{NAME}.py"
    path.write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path
    sys.modules.pop(NAME, None)


def stub(file: Path, name: str, *, attends: bool = False) -> str:
    found, model = find(str(file), NAME, name, 0), whole.find(str(file), NAME, name, 0)
    return spec_stub(found, model=model, attends=attends)  # type: ignore[arg-type]


def executed(text: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(text, "stub", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("name", ["Classifier", "Language", "Image", "Encoder", "WithOutput", "Padded"])
def test_a_model_is_built_fed_and_differentiated_by_its_entry(file: Path, name: str) -> None:
    text = stub(file, name)
    written = executed(text)
    assert "judges what stands in MODELS" in text
    assert not written["ATTENTION"]
    ((key, entry),) = written["MODELS"].items()
    assert (key, entry["class"]) == (name, f"{NAME}:{name}")
    model, inputs = entry["build"](), entry["inputs"](3, torch.Generator().manual_seed(0))
    loss = entry["loss"](model(**inputs), inputs)
    loss.backward()
    assert loss.numel() == 1
    assert any(each.grad is not None and each.grad.any() for each in model.parameters())
    again = entry["inputs"](3, torch.Generator().manual_seed(0))
    assert all(torch.equal(inputs[key], again[key]) for key in inputs)


def test_the_inputs_are_those_with_which_it_was_found_to_work(file: Path) -> None:
    model: Any = whole.find(str(file), NAME, "Language", 0)
    inputs = executed(stub(file, "Language"))["inputs"](2, torch.Generator().manual_seed(0))
    found = whole.entry(model["guess"].removeprefix("guess:"))["inputs"](2, torch.Generator().manual_seed(0))  # type: ignore[operator]
    assert {key: (each.shape, each.dtype) for key, each in inputs.items()} == {
        key: (each.shape, each.dtype) for key, each in found.items()
    }
    assert torch.equal(inputs["input_ids"], found["input_ids"])


def test_lengths_are_those_of_whole_sequences(file: Path) -> None:
    text = stub(file, "Padded")
    assert '"lengths": torch.full((batch_size,), 12),' in text
    assert '"frames": torch.randn(batch_size, 12, 8, generator=generator),' in text


def test_one_that_attends_stands_in_both(file: Path) -> None:
    written = executed(stub(file, "Encoder", attends=True))
    assert list(written["MODELS"]) == ["Encoder"]
    assert list(written["ATTENTION"]) == ["Encoder"]


def test_what_is_not_found_out_is_left_to_fill_in_and_says_why(file: Path) -> None:
    text = stub(file, "Remote")
    assert "# Not found out: Remote(" in text
    assert "only on the cluster" in text
    assert "# decide: fill in `build_model` and `inputs`." in text
    assert list(executed(text)["MODELS"]) == ["Remote"]
