"""What the probe makes lies on the device of the target.

Here that is torch's `meta`: an operation that mixes it with tensors on the CPU raises, as one does on a GPU.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from audit.probe import devices
from audit.probe.callee import callee_of
from audit.probe.guess import optional
from audit.probe.guess.find import find
from audit.probe.standins.agreeing import SETS, ArgumentSet, Inputs, called, of_standin
from audit.probe.standins.flash_padding import pad_input

FIXTURES = Path(__file__).parents[2] / "fixtures" / "attention" / "guessed"
DEVICE = "meta"


@pytest.fixture
def _on_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    flags = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    monkeypatch.syspath_prepend(str(FIXTURES))
    before = set(sys.modules)
    yield
    devices.enter(devices.CPU)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = flags
    for name in set(sys.modules) - before:
        if Path(str(getattr(sys.modules[name], "__file__", ""))).parent == FIXTURES:
            del sys.modules[name]


SUBJECTS = [
    ("gpt_style", "CausalSelfAttention"),
    ("grouped_rotary", "Attention"),
    ("grouped_rotary", "TableAttention"),
    ("layouts", "SequenceFirst"),
    ("layouts", "Image"),
    ("masks", "Added"),
    ("masks", "Drop"),
    ("masks", "Required"),
]


@pytest.mark.usefixtures("_on_device")
@pytest.mark.parametrize(("file", "qualname"), SUBJECTS)
def test_a_found_subject_is_built_and_called_on_the_device(
    file: str, qualname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = find(str(FIXTURES / f"{file}.py"), file, qualname, 0)
    assert reply["problem"] is None
    monkeypatch.setattr(torch, "equal", lambda first, second: True)  # it reads values, which this device has none of
    devices.enter(DEVICE)
    for subject in reply["subjects"]:  # type: ignore[attr-defined]
        if "context_dim" in subject["contract"]:
            continue
        source = {"kind": "guess", "path": reply["path"], "module": file, "qualname": qualname}
        callee = callee_of({**source, "choices": subject["choices"]}, 0, "float32")
        assert callee.module is not None
        assert {p.device.type for p in callee.module.parameters()} == {DEVICE}
        hidden = torch.randn(2, 11, subject["contract"]["embed_dim"], device=DEVICE)
        masks = [None]
        masks += [torch.ones(2, 11, dtype=torch.bool, device=DEVICE)] if subject["contract"]["key_mask"] else []
        for mask in masks:
            given = {"hidden_states": hidden, "key_mask": mask}
            output = callee.call(given, {"kind": "forward", "is_causal": False})
            assert isinstance(output, Tensor)
            assert output.device.type == DEVICE


class MakesItsOwn(nn.Module):
    """Makes a tensor without naming a device."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.arange(x.shape[-1])


@pytest.mark.usefixtures("_on_device")
def test_the_target_makes_its_tensors_where_it_would_without_the_probe() -> None:
    devices.enter(DEVICE)
    with devices.own():
        assert torch.arange(3).device.type == DEVICE
        with devices.of_target():
            assert torch.arange(3).device.type == "cpu"
            with pytest.raises(RuntimeError, match="device"):
                MakesItsOwn()(torch.zeros(2, 3, device=DEVICE))


@pytest.mark.usefixtures("_on_device")
@pytest.mark.parametrize(
    "value",
    [{"bias": "BHLL"}, {"head_mask": "H"}, {"positions": "BL"}, {"mask": {"convention": "additive", "shape": "LL"}}],
)
def test_further_arguments_lie_on_the_device(value: dict[str, object]) -> None:
    devices.enter(DEVICE)
    leaves = {"hidden_states": torch.randn(2, 5, 8, device=DEVICE), "key_mask": None}
    made = optional.made({"name": value}, {"canonical": "module", "heads": 2}, leaves)["name"]
    assert isinstance(made, Tensor)
    assert made.device.type == DEVICE


# Where packed sequences begin is read as numbers, which this device has none of.
DENSE = [each for each in SETS if "packed_func" in each.function or each.function.endswith("attn_func")]


@pytest.mark.usefixtures("_on_device")
@pytest.mark.parametrize("each", DENSE, ids=lambda each: f"{each.library} {each.function} {each.name}")
def test_stand_ins_make_their_tensors_on_the_device(each: ArgumentSet) -> None:
    devices.enter(DEVICE)
    queries, keys = (sum(lengths) for lengths in zip(*each.sizes, strict=True))
    sizes = ((queries, each.heads), (keys, each.kv_heads), (keys, each.kv_heads))
    drawn = [torch.zeros(total, heads, each.head_dim, dtype=torch.float16, device=DEVICE) for total, heads in sizes]
    assert called(of_standin(each.library), each, Inputs(*drawn)).device.type == DEVICE


def test_rows_that_are_put_back_stay_where_they_are() -> None:
    rows, places = torch.zeros(3, 4, device=DEVICE), torch.zeros(3, dtype=torch.long, device=DEVICE)
    assert pad_input(rows, places, 2, 5).device.type == DEVICE


def test_on_a_cpu_nothing_is_moved() -> None:
    tensor = torch.zeros(2)
    assert devices.placed(tensor) is tensor
    assert devices.placed_in({"a": [tensor, 1]})["a"][0] is tensor
    assert devices.kind() == "cpu"
