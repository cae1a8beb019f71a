"""What is said of the keys of an entry that cannot be used."""

import pytest

from audit.probe.spec_keys import model_problem

OUTPUTS = "in 'causal', 'outputs' must be a dict of names of outputs, each with its axis of positions"
MASKED = {"mask": "mask", "content": ["x"], "axis": 1}


@pytest.mark.parametrize(
    ("padding", "said"),
    [
        (MASKED | {"keeps": True}, None),
        ([MASKED, MASKED | {"keeps": False}], None),
        (MASKED | {"keep": True}, "in 'padding', unknown key 'keep' (did you mean 'keeps'?)"),
        (MASKED | {"zzz": True}, "in 'padding', unknown key 'zzz'"),
        ({"lengths": "lengths", "content": ["x"], "removable": True}, None),
        ({"tokens": "ids", "pad_id": 0}, None),
        ([{"tokens": "ids", "pad_id": -1, "content": ["x"], "axis": 2}, MASKED], None),
        ({"lengths": "lengths"}, "'padding' must be a dict of 'mask' and 'content'"),
        ({"lengths": "lengths", "content": []}, "in 'padding', 'lengths' must name an argument of forward, and"),
        (MASKED | {"lengths": "lengths"}, "in 'padding', 'mask' and 'lengths' are in one: each needs a dict of its"),
        ({"lengths": "lengths", "content": ["x"], "keeps": True}, "in 'padding', 'keeps' is for a 'mask' alone"),
        ({"tokens": "ids"}, "in 'padding', 'tokens' and 'pad_id' go together"),
        (MASKED | {"pad_id": 0}, "in 'padding', 'tokens' and 'pad_id' go together"),
        ({"tokens": "ids", "pad_id": True}, "in 'padding', 'pad_id' must be a whole number"),
        ({"tokens": "ids", "pad_id": 2**31}, "in 'padding', 'pad_id' must be a whole number"),
        ({"tokens": "ids", "pad_id": 0, "axis": 1}, "in 'padding', 'axis' is that of 'content', and there is none"),
        ({"tokens": "ids", "pad_id": 0, "content": ["ids"]}, "in 'padding', 'content' names what else is hidden"),
        (MASKED | {"axis": 64}, "in 'padding', 'axis' must be a whole number"),
        (MASKED | {"outputs": {"output": 1}}, None),
        (MASKED | {"outputs": {}}, "in 'padding', 'outputs' must be a dict of names of outputs"),
        (MASKED | {"outputs": ["output"]}, "in 'padding', 'outputs' must be a dict of names of outputs"),
        (
            MASKED | {"outputs": {"output": -1}},
            "in 'padding', the axis of 'output' in 'outputs' must be a whole number",
        ),
        ({"tokens": ["ids"], "pad_id": 0}, "in 'padding', 'tokens' must name an argument of forward"),
        ({"tokens": "ids", "pad_id": 0, "content": "x"}, "in 'padding', 'tokens' must name an argument of forward"),
        ({"mask": "mask"}, "'padding' must be a dict of 'mask' and 'content', perhaps 'axis' and 'keeps', or a list"),
    ],
)
def test_a_wrong_key_of_padding_is_named_with_the_nearest(padding: object, said: str | None) -> None:
    problem = model_problem({"padding": padding})
    assert problem is None if said is None else str(problem).startswith(said)


@pytest.mark.parametrize(
    ("causal", "said"),
    [
        ({"content": ["x"]}, None),
        ({"content": ("x", "y"), "axis": 2}, None),
        (None, None),
        ({"content": ["x"], "outputs": {"output.logits": 2}}, None),
        (True, "'causal' must be a dict of 'content', perhaps 'axis' and 'outputs'"),
        ({"contents": ["x"]}, "in 'causal', unknown key 'contents' (did you mean 'content'?)"),
        ({"content": "x"}, "in 'causal', 'content' must be a list of names of forward's arguments"),
        ({"content": []}, "in 'causal', 'content' must be a list of names of forward's arguments"),
        ({"content": ["x"], "axis": -1}, "in 'causal', 'axis' must be a whole number, counted from the front"),
        ({"content": ["x"], "axis": True}, "in 'causal', 'axis' must be a whole number, counted from the front"),
        ({"content": ["x"], "outputs": ["output"]}, OUTPUTS),
        ({"content": ["x"], "outputs": {}}, OUTPUTS),
        (
            {"content": ["x"], "outputs": {"output": 1, "output.more": -1}},
            "in 'causal', the axis of 'output.more' in 'outputs' must be a whole number, counted from the front",
        ),
    ],
)
def test_a_wrong_causal_is_told(causal: object, said: str | None) -> None:
    assert model_problem({"causal": causal}) == said


@pytest.mark.parametrize(
    ("residual", "said"),
    [
        ({"blocks.*": ["down"]}, None),
        (None, None),
        (
            ["blocks.*"],
            "'residual' must be a dict of names of blocks, each with a list of the last layers of its branches",
        ),
        ({}, "'residual' must be a dict of names of blocks, each with a list of the last layers of its branches"),
        ({"blocks.*": "down"}, "in 'residual', 'blocks.*' must have a list of names, of the last layer of each branch"),
    ],
)
def test_a_wrong_residual_is_told(residual: object, said: str | None) -> None:
    assert model_problem({"residual": residual}) == said


TIED = (
    "'tied' must be a list of groups of names of parameters or buffers, two or more in each, as in "
    "[('head.weight', 'embed.weight')]"
)


@pytest.mark.parametrize(
    ("tied", "said"),
    [
        ([("head.weight", "embed.weight")], None),
        ([["a", "b", "c"], ("d", "e")], None),
        (None, None),
        ([], TIED),
        (("head.weight", "embed.weight"), TIED),
        ([("head.weight",)], TIED),
        ([("head.weight", "head.weight")], TIED),
        ({"head.weight": "embed.weight"}, TIED),
    ],
)
def test_a_wrong_tied_is_told(tied: object, said: str | None) -> None:
    assert model_problem({"tied": tied}) == said


FROZEN = "'frozen' must be a list of names of parameters, `*` for any text, as in ['backbone.*']"


@pytest.mark.parametrize(
    ("frozen", "said"),
    [
        (["backbone.*"], None),
        (("a.weight", "b"), None),
        ([], None),  # nothing is frozen
        (None, None),
        ("backbone.*", FROZEN),
        ([1], FROZEN),
        (True, FROZEN),
    ],
)
def test_a_wrong_frozen_is_told(frozen: object, said: str | None) -> None:
    assert model_problem({"frozen": frozen}) == said
