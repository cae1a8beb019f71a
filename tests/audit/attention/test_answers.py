"""Replies of the target's process are read with suspicion, and weights are held against the contract first."""

from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from audit.attention.answers import Answers, Settled, check_weights, read_answers
from audit.attention.contract import Contract, Projections
from audit.gateway import ProbeFailure
from audit.results import Outcome

SHAPE = torch.Size((2, 3, 4))
OUTPUT = torch.ones(SHAPE)
NAMES = Projections(query="q", key="k", value="v", output="o")
CONTRACT = Contract(num_heads=6, num_kv_heads=2, head_dim=5, embed_dim=7, is_causal=True, projections=NAMES)
STATE = {
    "q.weight": torch.ones(30, 7), "q.bias": torch.ones(30), "k.weight": torch.ones(10, 7),
    "v.weight": torch.ones(10, 7), "o.weight": torch.ones(7, 30), "o.bias": torch.ones(7), "other": torch.ones(1),
}  # fmt: skip


def reply(tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {"tensors": save(tensors), "missing": [], "overwritten": [], "trainable": {}}


def read(given: dict[str, Any]) -> Answers:
    return read_answers(given, [("forward", SHAPE)])


def test_an_honest_reply_is_read() -> None:
    tensors = {"output.0": OUTPUT, "gradient.0.parameter.q.weight": OUTPUT * 2, "state.q.weight": OUTPUT * 3}
    names = {"missing": ["0.key"], "overwritten": ["0.key_mask"], "trainable": {"k.weight": "q.weight"}}
    answers = read(reply(tensors) | names)
    assert torch.equal(answers.outputs[0], OUTPUT)
    assert torch.equal(answers.gradients[0]["parameter.q.weight"], OUTPUT * 2)
    assert torch.equal(answers.state["q.weight"], OUTPUT * 3)
    assert (answers.missing, answers.overwritten) == ({(0, "key")}, {(0, "key_mask")})
    assert answers.trainable == {"k.weight": "q.weight"}


@pytest.mark.parametrize(
    "changes",
    [
        {"tensors": None},
        {"tensors": b"\x00"},
        {"tensors": b"\xff" * 64},
        {"trainable": None},
        {"missing": None},
        {"overwritten": "0.key_mask"},
        {"missing": ["1.key"]},
        {"missing": ["-1.key"]},
        {"overwritten": ["key"]},
        {"overwritten": ["\N{SUPERSCRIPT TWO}.key"]},
        {"overwritten": ["9" * 5000]},
        {"tensors": save({"output.1": OUTPUT})},
        {"tensors": save({"output.0": OUTPUT, "gradient.7.x": OUTPUT.clone()})},
        {"tensors": save({"output.0": OUTPUT, "gradient": OUTPUT.clone()})},
    ],
)
def test_a_reply_that_the_probe_does_not_send_is_a_failure_of_the_process(changes: dict[str, Any]) -> None:
    with pytest.raises(ProbeFailure, match=r"^the target's process sent "):
        read(reply({"output.0": OUTPUT}) | changes)


@pytest.mark.parametrize(
    "output",
    [
        OUTPUT[:1],
        OUTPUT[0],
        torch.tensor(1.0),
        torch.zeros(0),
        OUTPUT.unsqueeze(-1),
        OUTPUT.long(),
        OUTPUT.bool(),
    ],
)
def test_an_output_of_another_form_settles_the_judgement(output: Tensor) -> None:
    with pytest.raises(Settled) as settled:
        read(reply({"output.0": output.contiguous()}))
    assert settled.value.judgement.outcome is Outcome.FAILED
    assert f"{output.dtype} of shape {tuple(output.shape)}, not" in str(settled.value.judgement.reason)


def test_weights_that_fit_the_contract_are_accepted() -> None:
    check_weights(CONTRACT, STATE)
    check_weights(CONTRACT.model_copy(update={"projections": None}), {})


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("q.weight", None),
        ("k.weight", torch.ones(30, 7)),
        ("v.weight", torch.ones(7, 10)),
        ("o.weight", torch.ones(7 * 30)),
        ("o.weight", torch.ones(7, 30, dtype=torch.int8)),
        ("q.bias", torch.ones(1)),
        ("o.bias", torch.ones(7, dtype=torch.bool)),
    ],
)
def test_weights_that_do_not_fit_are_an_error_that_names_them(name: str, weight: Tensor | None) -> None:
    state = {key: each for key, each in (STATE | {name: weight}).items() if each is not None}
    with pytest.raises(Settled) as settled:
        check_weights(CONTRACT, state)
    assert settled.value.judgement.outcome is Outcome.ERROR
    assert f"'{name}'" in str(settled.value.judgement.reason)
