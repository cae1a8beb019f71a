"""A function is followed once for each set of answers to what it asks about the file's other functions."""

import ast

import pytest

from audit.static.attention_flow import Flags, Flows, Returns
from audit.static.facts import Mechanism
from audit.static.full_names import FullNames

TEXT = """
def attend(q, k, v):
    return weights(q, k) @ v
"""


@pytest.fixture
def function() -> ast.FunctionDef:
    (found,) = ast.parse(TEXT).body
    assert isinstance(found, ast.FunctionDef)
    return found


def test_what_a_called_function_returns_decides_what_is_computed(function: ast.FunctionDef) -> None:
    flows = Flows(FullNames({}, importing=()))
    assert flows.through(function, {}, layers={}).found == set()
    weights = {"weights": Returns(plain=Flags.WEIGHTS)}
    assert flows.through(function, weights, layers={}).found == {Mechanism.SOFTMAX}
    assert flows.through(function, {}, layers={}).found == set()


def test_the_same_answers_give_the_same_walk(function: ast.FunctionDef) -> None:
    flows = Flows(FullNames({}, importing=()))
    first = flows.through(function, {}, layers={})
    assert flows.through(function, {"unrelated": Returns(plain=Flags.WEIGHTS)}, layers={}) is first
    assert flows.through(function, {}, layers={}, given=Flags.PRODUCT) is not first
    assert flows.through(function, {"weights": Returns()}, layers={}) is not first
