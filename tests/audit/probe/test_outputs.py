"""What is found in an output is what is replaced in it, and nothing else is touched."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import torch

from audit.probe.outputs import flatten, replaced

Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Held:
    """An output with attributes."""

    scores: torch.Tensor
    name: str


class Slotted:
    """An output without a dict."""

    __slots__ = ("value", "words")

    def __init__(self, value: torch.Tensor) -> None:
        """Hold a tensor and a list."""
        self.value, self.words = value, ["a"]


def output() -> dict[str, object]:
    """Return one of every container, with six tensors."""
    one = torch.ones(2)
    ordered = OrderedDict(a=[one + 1, (one + 2, "text")], b=Pair(one + 3, 7))
    return {"plain": one, "ordered": ordered, "held": Held(one + 4, "h"), "slotted": Slotted(one + 5), "none": None}


def test_every_tensor_that_is_found_is_replaced_under_its_path_and_the_original_stays() -> None:
    given = output()
    before = flatten(given)
    paths: list[str] = []

    def negated(path: str, tensor: torch.Tensor) -> torch.Tensor:
        paths.append(path)
        return -tensor

    after = flatten(replaced(given, negated))
    assert paths == list(before)
    assert len(before) == 6
    assert after.keys() == before.keys()
    assert all(torch.equal(after[path], -before[path]) for path in before)
    assert all(tensor is flatten(given)[path] for path, tensor in before.items())


def test_containers_keep_their_types_and_what_holds_no_tensor_is_the_object_itself() -> None:
    given = {**output(), "type": Held}
    made = replaced(given, lambda path, tensor: tensor * 2)
    assert isinstance(made, dict)
    assert (type(made["ordered"]), type(made["ordered"]["b"]), type(made["held"])) == (OrderedDict, Pair, Held)
    assert made["held"].name == "h"
    assert made["type"] is Held


def test_an_object_that_holds_itself_is_replaced_once() -> None:
    held = Held(torch.ones(1), "h")
    held.itself = held  # type: ignore[attr-defined]
    made = replaced(held, lambda path, tensor: tensor + 1)
    assert isinstance(made, Held)
    assert made.scores.tolist() == [2.0]
    assert made.itself is held  # type: ignore[attr-defined]
